/** Sends requests again where that may help: as the Python client does. */

export const TRIES = 3;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

export type Fetch = (request: Request) => Promise<Response>;
export type Sleep = (milliseconds: number) => Promise<unknown>;

/**
 * The milliseconds until a request is sent again, undefined if it is not. `response` is undefined
 * where there was none; `tries` is how often the request was sent, of `most`.
 */
export function waitAfter(
  response: Response | undefined,
  tries: number,
  most = TRIES,
): number | undefined {
  if (tries >= most) return undefined;
  const backoff = FIRST_WAIT_MS * 2 ** (tries - 1);
  if (response === undefined) return backoff;
  const said = response.headers.get("Retry-After") ?? "";
  const mayHelp = [429, 503].includes(response.status) || (response.status === 409 && said !== "");
  if (!mayHelp) return undefined;
  return /^\d+$/.test(said) ? Math.min(Number(said) * 1000, LONGEST_WAIT_MS) : backoff;
}

/** A `fetch` that waits as `Retry-After` says. A write carries a key, so it is done once. */
export function retrying(send: Fetch, sleep: Sleep, most = TRIES): Fetch {
  return async (request) => {
    if (request.method !== "GET" && !request.headers.has("Idempotency-Key")) {
      request.headers.set("Idempotency-Key", crypto.randomUUID());
    }
    for (let tries = 1; ; tries += 1) {
      let response: Response | undefined;
      let failure: unknown;
      try {
        response = await send(request.clone());
      } catch (error) {
        if (request.signal.aborted) throw error;
        failure = error;
      }
      const wait = waitAfter(response, tries, most);
      if (wait === undefined) {
        if (response === undefined) throw failure;
        return response;
      }
      await response?.body?.cancel();
      await sleep(wait);
    }
  };
}
