/** The dashboard's API, typed by path from the OpenAPI document. */
import type { components, paths } from '../../../generated/schema';
import { kept } from './kept.svelte';

type Get<P extends keyof paths> = paths[P] extends {
  get: { responses: { 200: { content: { 'application/json': infer Body } } } };
}
  ? Body
  : never;

export type Community = Get<'/api/v1/community'>;
export type Now = Get<'/api/v1/now'>;
export type Tariff = Get<'/api/v1/tariff'>;
export type Prices = Get<'/api/v1/prices'>;
export type Auction = Get<'/api/v1/auctions/latest'>;
export type HouseholdEntry = Get<'/api/v1/households'>[number];
export type Household = Get<'/api/v1/households/{party}'>;
export type SettlementLine = Household['totals']['lines'][number];
export type Trade = Get<'/api/v1/households/{party}/trades'>[number];
export type OrderAnswer = Get<'/api/v1/households/{party}/orders'>[number];
export type BlockSummary = Get<'/api/v1/blocks'>[number];
export type Block = Get<'/api/v1/blocks/{height}'>;
export type Anchor = Get<'/api/v1/validators'>;
export type Found = Get<'/api/v1/search'>[number];
export type History = Get<'/api/v1/households/{party}/history'>;
export type WhoAmI = Get<'/api/v1/session'>;
export type Status = components['schemas']['Status'];
export type BlockEvent = components['schemas']['BlockEvent'];
export type ClearedEvent = components['schemas']['ClearedEvent'];
export type SettledEvent = components['schemas']['SettledEvent'];

/** Why a request brought no answer: the server's problem, or that it could not be reached. */
export class RequestFailure extends Error {
  /** The HTTP status; 0 when the server could not be reached. */
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }

  get unreachable(): boolean {
    return this.status === 0;
  }
}

interface Parameters {
  /** Fills `{name}` in the path. */
  path?: Record<string, string | number>;
  query?: Record<string, string | number | undefined>;
  signal?: AbortSignal;
}

/** Fills in the path's parameters and appends the query. */
export function address(path: string, parameters: Parameters = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(parameters.path?.[name] ?? '')),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${filled}?${text}` : filled;
}

/**
 * Reads one resource.
 *
 * Throws a `RequestFailure`, or the signal's `AbortError`.
 */
export async function get<P extends keyof paths>(
  path: P,
  parameters: Parameters = {},
): Promise<Get<P>> {
  const { signal } = parameters;
  return answer(address(path, parameters), signal, (response) => response.json() as Promise<Get<P>>);
}

/**
 * Reads a file as text, byte for byte: a receipt.
 *
 * Throws as `get` does.
 */
export function getText(path: string, signal?: AbortSignal): Promise<string> {
  return answer(path, signal, (response) => response.text());
}

async function answer<T>(
  from: string,
  signal: AbortSignal | undefined,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  let response: Response;
  try {
    response = await fetch(from, {
      headers: { accept: 'application/json' },
      ...(signal && { signal }),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new RequestFailure(0, '');
  }
  kept.note(response);
  if (!response.ok) throw new RequestFailure(response.status, await problemDetail(response));
  try {
    return await read(response);
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new RequestFailure(0, '');
  }
}

/**
 * Changes something: sends JSON, and reads what comes back, if anything does.
 *
 * Throws a `RequestFailure`.
 */
export async function send(
  method: 'POST' | 'DELETE',
  path: keyof paths,
  body?: Record<string, string>,
): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
  } catch {
    throw new RequestFailure(0, '');
  }
  if (!response.ok) throw new RequestFailure(response.status, await problemDetail(response));
  return response.status === 204 ? null : await response.json();
}

async function problemDetail(response: Response): Promise<string> {
  try {
    const problem: unknown = await response.json();
    if (typeof problem === 'object' && problem !== null && 'detail' in problem) {
      return String(problem.detail);
    }
  } catch {
    // Not a problem document, for example a proxy's own page: the status has to do.
  }
  return `${response.status} ${response.statusText}`.trim();
}
