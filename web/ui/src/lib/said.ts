import { session } from './community.svelte';

/** A statement of the server in this person's language, with the language it is in. */
export function said(sentences: { en: string; ja: string; de?: string }): string {
  return sentences[session.language] ?? sentences.en;
}
