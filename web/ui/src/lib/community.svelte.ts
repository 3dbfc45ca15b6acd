import { get, RequestFailure, type Community } from './api/client';
import { makeFormats } from './format';
import { messages } from './i18n';
import { preferences } from './preferences.svelte';

const RETRY_MS = 3000;

/** The community that this dashboard shows, and the ways of writing that follow from it. */
class Session {
  community = $state.raw<Community | null>(null);
  /** Why the community could not be read; it is tried again by itself. */
  failure = $state.raw<RequestFailure | null>(null);

  /** The page's words in the chosen language. */
  readonly words = $derived(messages[preferences.language]);
  readonly formats = $derived(
    makeFormats({
      language: preferences.language,
      currency: this.community?.currency ?? 'EUR',
      timeZone: this.community?.time_zone ?? 'UTC',
    }),
  );
  readonly period_ms = $derived((this.community?.period_minutes ?? 15) * 60_000);

  /** Reads the community, trying until it answers. */
  async load(): Promise<void> {
    try {
      this.community = await get('/api/v1/community');
      this.failure = null;
    } catch (cause) {
      this.failure = cause instanceof RequestFailure ? cause : new RequestFailure(0, String(cause));
      setTimeout(() => void this.load(), RETRY_MS);
    }
  }

  /** What a zone is called. */
  zoneLabel(id: number): string {
    return this.community?.zones.find((zone) => zone.id === id)?.label ?? String(id);
  }
}

export const session = new Session();
