import { live } from './api/live.svelte';

const TICK_MS = 250;

/** Market time: runs on from the last status at the community's speed. */
class MarketClock {
  /** Market time now, milliseconds UTC; `null` before the first status. */
  now_ms = $state<number | null>(null);

  /** Starts running; returns the function that stops it. */
  start(speed: () => number): () => void {
    const tick = () => {
      const { status, statusReceivedMs } = live;
      // Without a connection nobody knows whether the market's clock still runs like this.
      if (!status || live.connection === 'lost') return;
      const elapsed_ms = performance.now() - statusReceivedMs;
      const estimate_ms = status.market_time_ms + elapsed_ms * speed();
      // A status that took longer on its way must not turn the clock back.
      const jitter_ms = 2000 * speed();
      const behind_ms = (this.now_ms ?? 0) - estimate_ms;
      if (behind_ms > 0 && behind_ms < jitter_ms) return;
      this.now_ms = estimate_ms;
    };
    const timer = setInterval(tick, TICK_MS);
    tick();
    return () => clearInterval(timer);
  }
}

export const marketClock = new MarketClock();
