/** Set by the service worker on answers that it kept from before the connection was lost. */
const HEADER = 'x-hidamari-kept-at';

/** Whether what is shown comes from this machine, and since when. */
class Kept {
  /** When the oldest of the kept answers was given, real time; `null` while the server answers. */
  at_ms = $state<number | null>(null);

  note(response: Response): void {
    const at_ms = Number(response.headers.get(HEADER) ?? 'NaN');
    if (Number.isFinite(at_ms)) this.at_ms = Math.min(this.at_ms ?? at_ms, at_ms);
    else this.at_ms = null;
  }
}

export const kept = new Kept();

/** Lets the browser keep the page for times without a connection, where it can. */
export function keepForOffline(): void {
  if (!('serviceWorker' in navigator) || !import.meta.env.PROD) return;
  // Without it everything works but offline.
  navigator.serviceWorker.register('/service-worker.js').catch(() => undefined);
}
