// What a shop's backend does with the TypeScript client: `node use.js ADDRESS KEY IMAGE`.
// `node use.js ADDRESS KEY` reads all products, and all that looks like the product s1.
// The test compiles it together with the client, and reads the JSON that it prints.
import { readFile } from "node:fs/promises";
import { Lookalike, LookalikeError, type Product, retrying } from "./index.js";

const [url = "", key = "", path = ""] = process.argv.slice(2);
const shop = new Lookalike({ url, key });
const image = new Blob(path ? [await readFile(path)] : []);

const skus = (answer: { items: { sku: string }[] }): string[] => answer.items.map((it) => it.sku);

/** Change a price; return every field that is different afterwards, with both values. */
async function changeOneField(): Promise<Record<string, unknown[]>> {
  const before = await shop.getProduct("0003");
  await shop.patchProduct("0003", { price: 24.5 });
  const after = await shop.getProduct("0003");
  const names = (Object.keys(before) as (keyof Product)[])
    .filter((name) => name !== "state" && name !== "images") // the write is still to be indexed
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  return Object.fromEntries(names.map((name) => [name, [before[name], after[name]]]));
}

async function search(): Promise<Record<string, string[]>> {
  return {
    sku: skus(await shop.similar("0001", { limit: 2, gender: ["Women", "Men"] })),
    json: skus(await shop.search({ sku: "0001", limit: 2 })),
    "json and query": skus(await shop.search({ sku: "0001" }, { limit: 2 })),
    image: skus(await shop.search(image, { limit: 2 })),
    region: skus(await shop.search(image, { limit: 2, box: [0.1, 0.1, 0.9, 0.9] })),
    examples: skus(await shop.recommend({ positive: [{ sku: "0001" }], limit: 1 })),
  };
}

/** Read all products, two at a time; `stopped` reads one alone. */
async function page(): Promise<Record<string, string[]>> {
  const all: string[] = [];
  for await (const product of shop.products({ limit: 2 })) all.push(product.sku);
  const stopped: string[] = [];
  for await (const product of shop.products({ limit: 2, gender: ["Men"] })) {
    stopped.push(product.sku);
    break;
  }
  const pages: Record<string, AsyncIterable<{ sku: string }>> = {
    similar: shop.allSimilar("0001", { limit: 1 }),
    image: shop.allFound(image, { limit: 3 }),
    json: shop.allFound({ sku: "0001", limit: 3 }),
    examples: shop.allRecommended({ positive: ["0001"], limit: 1 }),
  };
  const found: Record<string, string[]> = { all, stopped };
  for (const [name, items] of Object.entries(pages)) {
    found[name] = [];
    for await (const { sku } of items) found[name].push(sku);
  }
  return found;
}

async function upload(): Promise<string> {
  await shop.putProduct("new", { display_name: "New" });
  const stored = await shop.putImage("new", image);
  if (!stored.images?.length) throw new Error("the image is not there");
  await shop.deleteProduct("new");
  return stored.state ?? "";
}

async function refusal(): Promise<unknown[]> {
  try {
    await shop.patchProduct("0001", { price: 2 }, '"other"');
  } catch (error) {
    if (error instanceof LookalikeError) return [error.status, error.code, error.message !== ""];
    throw error;
  }
  throw new Error("not refused");
}

/** Meet a server that is busy, then one that is gone; return the pauses and the keys sent. */
async function retry(): Promise<unknown[]> {
  const waits: number[] = [];
  const keys: (string | null)[] = [];
  const bodies: string[] = [];
  const answers = [
    new Response("{}", { status: 429, headers: { "Retry-After": "7" } }),
    new TypeError("gone"),
    Response.json({ sku: "1", price: 1 }),
  ];
  const send = retrying(
    async (request) => {
      keys.push(request.headers.get("Idempotency-Key"));
      bodies.push(await request.text());
      const answer = answers.shift();
      if (answer instanceof Response) return answer;
      throw answer;
    },
    async (milliseconds) => waits.push(milliseconds),
  );
  const request = new Request("http://localhost/v1/products/1", { method: "PUT", body: "{}" });
  const last = await send(request);
  const refused = retrying(async () => new Response("{}", { status: 503 }), async () => {});
  let sent = 0;
  const once = retrying(
    async () => {
      sent += 1;
      return new Response("{}", { status: 503 });
    },
    async () => {},
    1,
  );
  await once(new Request("http://localhost/"));
  const given = await refused(new Request("http://localhost/"));
  return [last.status, waits, new Set(keys).size, keys.includes(null), bodies, given.status, sent];
}

async function collected(items: AsyncIterable<{ sku: string }>): Promise<string[]> {
  const found: string[] = [];
  for await (const { sku } of items) found.push(sku);
  return found;
}

async function readAll(): Promise<Record<string, string[]>> {
  const all = await collected(shop.products());
  return { all, similar: await collected(shop.allSimilar("s1", { limit: 100, fields: ["sku"] })) };
}

const everything = async () => ({
  changed: await changeOneField(),
  searched: await search(),
  paged: await page(),
  state: await upload(),
  refused: await refusal(),
  retried: await retry(),
});

console.log(JSON.stringify(path ? await everything() : await readAll()));
