import createClient, { type Client as ApiClient } from "openapi-fetch";
import { type Fetch, type Sleep, retrying } from "./retrying.js";
import type { components, operations, paths } from "./schema.js";

export type Schemas = components["schemas"];
export type Product = Schemas["Product"];

type Query<Name extends keyof operations> = NonNullable<operations[Name]["parameters"]["query"]>;
type Answered<Data> = { data?: Data; error?: unknown; response: Response };

export interface Options {
  /** Where the API is, such as `https://lookalike.example`. */
  url: string;
  /** The API key. */
  key?: string;
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
      fetch: retrying(options.fetch ?? ((request) => fetch(request)), sleep),
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
  async *products(query: Query<"listProducts"> = {}): AsyncGenerator<Product, void, void> {
    let cursor = query.cursor;
    do {
      const params = { query: { limit: 100, ...query, cursor } };
      const page = read(await this.api.GET("/v1/products", { params }));
      yield* page.items;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** The products that look like this one. */
  async similar(
    sku: string,
    query: Query<"getSimilarProducts"> = {},
  ): Promise<Schemas["SimilarAnswer"]> {
    const params = { path: { sku }, query };
    return read(await this.api.GET("/v1/products/{sku}/similar", { params }));
  }

  /** The products that look like an image, or as a JSON body asks. */
  async search(
    asked: Blob | Schemas["SimilarBody"],
    query: Query<"searchSimilarProducts"> = {},
  ): Promise<Schemas["SimilarAnswer"]> {
    const how = asked instanceof Blob ? AS_BYTES : {};
    return read(await this.api.POST("/v1/similar", { params: { query }, body: asked, ...how }));
  }

  /** Products for a shopper, a visit, or examples. */
  async recommend(body: Schemas["RecommendationBody"]): Promise<Schemas["RecommendationAnswer"]> {
    return read(await this.api.POST("/v1/recommendations", { body }));
  }
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
