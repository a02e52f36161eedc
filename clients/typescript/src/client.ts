import createClient, { type Client as ApiClient } from "openapi-fetch";
import { type Fetch, type Sleep, retrying } from "./retrying.js";
import type { components, operations, paths } from "./schema.js";

export type Schemas = components["schemas"];
export type Product = Schemas["Product"];

type Query<Name extends keyof operations> = NonNullable<operations[Name]["parameters"]["query"]>;
type Items<Item> = AsyncGenerator<Item, void, void>;
type Answered<Data> = { data?: Data; error?: unknown; response: Response };

export interface Options {
  /** Where the API is, such as `https://lookalike.example`. */
  url: string;
  /** The API key. */
  key?: string;
  /** How often a request is sent at most; 3 if absent. */
  tries?: number;
  /** Replaces the global `fetch`. */
  fetch?: Fetch;
  /** Replaces the pause between two tries. */
  sleep?: Sleep;
}

/** The API has refused a request; `problem` is the whole problem document. */
export class LookalikeError extends Error {
  readonly code: string;

  constructor(
    readonly status: number,
    readonly problem: Partial<Schemas["Problem"]>,
  ) {
    super(problem.detail ?? `status ${status}`);
    this.name = "LookalikeError";
    this.code = problem.code ?? "";
  }
}

/** A client of the API. `api` sends any request of the OpenAPI document, with the same retries. */
export class Lookalike {
  readonly api: ApiClient<paths>;

  constructor(options: Options) {
    const sleep = options.sleep ?? ((ms) => new Promise((done) => setTimeout(done, ms)));
    this.api = createClient<paths>({
      baseUrl: options.url,
      headers: options.key === undefined ? {} : { Authorization: `Bearer ${options.key}` },
      fetch: retrying(options.fetch ?? ((request) => fetch(request)), sleep, options.tries),
    });
  }

  /** Read a product. */
  async getProduct(sku: string): Promise<Product> {
    return read(await this.api.GET("/v1/products/{sku}", { params: { path: { sku } } }));
  }

  /** Store a complete product. */
  async putProduct(sku: string, body: Schemas["ProductBody"], ifMatch?: string): Promise<Product> {
    const params = { path: { sku }, header: matching(ifMatch) };
    return read(await this.api.PUT("/v1/products/{sku}", { params, body }));
  }

  /** Change some fields of a product. */
  async patchProduct(
    sku: string,
    body: Schemas["ProductPatch"],
    ifMatch?: string,
  ): Promise<Product> {
    const params = { path: { sku }, header: matching(ifMatch) };
    return read(await this.api.PATCH("/v1/products/{sku}", { params, body }));
  }

  /** Remove a product. */
  async deleteProduct(sku: string): Promise<void> {
    check(await this.api.DELETE("/v1/products/{sku}", { params: { path: { sku } } }));
  }

  /** Give a product its first image. */
  async putImage(sku: string, image: Blob): Promise<Product> {
    const params = { path: { sku } };
    return read(
      await this.api.PUT("/v1/products/{sku}/image", { params, body: image, ...AS_BYTES }),
    );
  }

  /** All products that pass a filter, page by page. */
  products(query: Query<"listProducts"> = {}): Items<Product> {
    return items(async (cursor) => {
      const params = { query: { limit: 100, ...query, cursor } };
      return read(await this.api.GET("/v1/products", { params }));
    });
  }

  /** The products that look like this one. */
  async similar(
    sku: string,
    query: Query<"getSimilarProducts"> = {},
  ): Promise<Schemas["SimilarAnswer"]> {
    const params = { path: { sku }, query };
    return read(await this.api.GET("/v1/products/{sku}/similar", { params }));
  }

  /** What looks like a product, page by page; a page has `limit` of them. */
  allSimilar(sku: string, query: Query<"getSimilarProducts"> = {}): Items<Schemas["Neighbour"]> {
    return items((cursor) => this.similar(sku, { ...query, cursor }));
  }

  /** The products that look like an image, or as a JSON body asks. */
  async search(
    asked: Blob | Schemas["SimilarBody"],
    query: Query<"searchSimilarProducts"> = {},
  ): Promise<Schemas["SimilarAnswer"]> {
    const how = asked instanceof Blob ? AS_BYTES : {};
    return read(await this.api.POST("/v1/similar", { params: { query }, body: asked, ...how }));
  }

  /** What looks like an image, or what a JSON body asks for, page by page. */
  allFound(
    asked: Blob | Schemas["SimilarBody"],
    query: Query<"searchSimilarProducts"> = {},
  ): Items<Schemas["Neighbour"]> {
    return items((cursor) => {
      if (cursor === undefined) return this.search(asked, query);
      // The cursor stands for an image, which is sent, or fetched, once.
      if (asked instanceof Blob) return this.search(new Blob([]), { ...query, cursor });
      return this.search({ ...asked, image_uri: undefined, cursor }, query);
    });
  }

  /** Products for a shopper, a visit, or examples. */
  async recommend(body: Schemas["RecommendationBody"]): Promise<Schemas["RecommendationAnswer"]> {
    return read(await this.api.POST("/v1/recommendations", { body }));
  }

  /** The same, page by page. */
  allRecommended(body: Schemas["RecommendationBody"]): Items<Schemas["Recommended"]> {
    return items((cursor) => this.recommend({ ...body, cursor: cursor ?? body.cursor }));
  }
}

async function* items<Item>(
  read: (cursor: string | undefined) => Promise<{ items: Item[]; next_cursor: string | null }>,
): Items<Item> {
  let cursor: string | undefined;
  do {
    const page = await read(cursor);
    yield* page.items;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
}

const AS_BYTES = {
  bodySerializer: (body: unknown) => body as Blob,
  headers: { "Content-Type": "application/octet-stream" },
};

function matching(ifMatch: string | undefined): { "If-Match"?: string } {
  return ifMatch === undefined ? {} : { "If-Match": ifMatch };
}

/** The data of a good answer; throws a LookalikeError for any other. */
export function read<Data>(answered: Answered<Data>): Data {
  check(answered);
  return answered.data as Data;
}

function check({ error, response }: Answered<unknown>): void {
  if (response.ok) return;
  const problem = typeof error === "object" && error !== null ? error : { detail: `${error}` };
  throw new LookalikeError(response.status, problem);
}
