/** The sky over the neighbourhood at a local hour. */
export type DayPhase = 'night' | 'dawn' | 'day' | 'dusk';

/** The phase of the day at `hour` (0 to 24, local). */
export function dayPhase(hour: number): DayPhase {
  if (hour < 5 || hour >= 20.5) return 'night';
  if (hour < 8) return 'dawn';
  return hour < 17.5 ? 'day' : 'dusk';
}

/** Where sun or moon stands: 0 at its rise on the left, 1 at its set on the right. */
export function skyProgress(hour: number): number {
  const phase = dayPhase(hour);
  if (phase !== 'night') return (hour - 5) / 15.5;
  return ((hour + 24 - 20.5) % 24) / 8.5;
}
