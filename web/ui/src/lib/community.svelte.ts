import { get, RequestFailure, type Community } from './api/client';
import { makeFormats, type Language } from './format';
import { fetchMessages, type Messages } from './i18n';
import { preferences } from './preferences.svelte';

const RETRY_MS = 3000;

/** The community that this dashboard shows, and the ways of writing that follow from it. */
class Session {
  community = $state.raw<Community | null>(null);
  /** Why the community could not be read; it is tried again by itself. */
  failure = $state.raw<RequestFailure | null>(null);

  /** The page's words in the language in which they came last; set before anything is shown. */
  words = $state.raw({} as Messages);
  /** The language of these words. */
  language = $state<Language>(preferences.language);
  readonly formats = $derived(
    makeFormats({
      language: this.language,
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

  /** Shows the words of a language, once they are here; the ones before stay until then. */
  async speak(language: Language): Promise<void> {
    const words = await fetchMessages(language);
    if (language !== preferences.language) return;
    this.words = words;
    this.language = language;
  }

  /** What a zone is called. */
  zoneLabel(id: number): string {
    return this.community?.zones.find((zone) => zone.id === id)?.label ?? String(id);
  }
}

export const session = new Session();
