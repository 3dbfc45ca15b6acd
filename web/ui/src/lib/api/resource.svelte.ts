import { onDestroy, untrack } from 'svelte';
import { RequestFailure } from './client';

const RETRY_MS = 4000;

/**
 * One thing that a view shows, loaded when asked and kept while it is loaded anew.
 *
 * Create it while a component is being set up: it stops with that component.
 */
export class Resource<T> {
  /** The newest data; `null` before the first answer. */
  data = $state.raw<T | null>(null);
  /** Why the last load failed; `null` when it did not. `data` then is what was known before. */
  failure = $state.raw<RequestFailure | null>(null);

  #fetch: (signal: AbortSignal) => Promise<T>;
  #running: AbortController | null = null;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(fetch: (signal: AbortSignal) => Promise<T>) {
    this.#fetch = fetch;
    onDestroy(() => this.#stop());
  }

  /** Loads; a load that still runs is given up. Safe to call from an effect. */
  load(): void {
    untrack(() => void this.#run());
  }

  /** Forgets the data and loads: for another household, another day, another block. */
  reset(): void {
    untrack(() => {
      this.data = null;
      this.failure = null;
    });
    this.load();
  }

  async #run(): Promise<void> {
    this.#stop();
    const running = new AbortController();
    this.#running = running;
    try {
      const data = await this.#fetch(running.signal);
      if (running.signal.aborted) return;
      this.data = data;
      this.failure = null;
    } catch (cause) {
      if (running.signal.aborted) return;
      this.failure = cause instanceof RequestFailure ? cause : new RequestFailure(0, String(cause));
      if (this.failure.unreachable || this.failure.status >= 500) {
        this.#again = setTimeout(() => this.load(), RETRY_MS);
      }
    }
  }

  #stop(): void {
    this.#running?.abort();
    clearTimeout(this.#again);
  }
}
