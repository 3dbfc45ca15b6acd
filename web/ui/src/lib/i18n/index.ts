import type { Language } from '../format';
import type { Messages } from './en';

export type { Messages };

/** What each language calls itself. */
export const LANGUAGE_NAMES: Record<Language, string> = {
  en: 'English',
  ja: '日本語',
  de: 'Deutsch',
};

// Each language is a file of its own: nobody waits for words that are not shown.
const LOADERS: Record<Language, () => Promise<Messages>> = {
  en: async () => (await import('./en')).en,
  ja: async () => (await import('./ja')).ja,
  de: async () => (await import('./de')).de,
};

/** Fetches the page's words in a language. */
export function fetchMessages(language: Language): Promise<Messages> {
  return LOADERS[language]();
}
