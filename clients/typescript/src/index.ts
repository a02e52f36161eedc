/** A typed client of Lookalike's API. */

export { Lookalike, LookalikeError, read, type Options, type Product, type Schemas } from "./client.js";
export { retrying, waitAfter, type Fetch, type Sleep } from "./retrying.js";
export type { components, operations, paths } from "./schema.js";
