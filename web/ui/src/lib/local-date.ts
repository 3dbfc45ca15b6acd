const DAY_MS = 86_400_000;

/** The date `days` after a date (YYYY-MM-DD), in the calendar, whatever the time zone. */
export function addDays(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}
