import type { BlockEvent, ClearedEvent, SettledEvent, Status } from './client';

/** A status comes every 2 s; without any event for this long the connection is taken for dead. */
const SILENCE_MAX_MS = 20_000;
const RETRY_MS = 3000;

/** `connecting` until the first event, then `open`; `lost` when the stream broke. */
export type Connection = 'connecting' | 'open' | 'lost';

/** The page's one event stream as a store: open while the page is visible, closed while hidden. */
class Live {
  connection = $state<Connection>('connecting');
  status = $state.raw<Status | null>(null);
  /** Real time at which `status` came, for the clock that runs on from it. */
  statusReceivedMs = $state(0);
  block = $state.raw<BlockEvent | null>(null);
  cleared = $state.raw<ClearedEvent | null>(null);
  settled = $state.raw<SettledEvent | null>(null);
  /** Grows each time the stream opens again after a gap: what views show may be out of date. */
  resumedCount = $state(0);

  #source: EventSource | null = null;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #opened = false;

  /** Starts following; returns the function that ends it. */
  start(): () => void {
    const onVisibility = () => (document.hidden ? this.#close() : this.#open());
    document.addEventListener('visibilitychange', onVisibility);
    window.addEventListener('online', onVisibility);
    onVisibility();
    return () => {
      document.removeEventListener('visibilitychange', onVisibility);
      window.removeEventListener('online', onVisibility);
      this.#close();
    };
  }

  #open(): void {
    this.#close();
    const source = new EventSource('/api/v1/events');
    this.#source = source;
    this.#expectWithin(SILENCE_MAX_MS);
    source.onopen = () => {
      if (this.#opened) this.resumedCount += 1;
      this.#opened = true;
    };
    source.onerror = () => {
      this.connection = 'lost';
      // The browser reconnects by itself unless the server answered with something else.
      if (source.readyState === EventSource.CLOSED) this.#expectWithin(RETRY_MS);
    };
    this.#on<Status>(source, 'status', (status) => {
      this.status = status;
      this.statusReceivedMs = performance.now();
    });
    this.#on<BlockEvent>(source, 'block', (block) => (this.block = block));
    this.#on<ClearedEvent>(source, 'cleared', (cleared) => (this.cleared = cleared));
    this.#on<SettledEvent>(source, 'settled', (settled) => (this.settled = settled));
  }

  #on<T>(source: EventSource, name: string, take: (body: T) => void): void {
    source.addEventListener(name, (event) => {
      this.connection = 'open';
      this.#expectWithin(SILENCE_MAX_MS);
      take(JSON.parse(event.data) as T);
    });
  }

  #expectWithin(timeout_ms: number): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      this.connection = 'lost';
      this.#open();
    }, timeout_ms);
  }

  #close(): void {
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
  }
}

export const live = new Live();
