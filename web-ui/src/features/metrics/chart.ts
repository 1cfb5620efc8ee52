/** The arithmetic of a line chart: scales, ticks, lines with holes. */

/** Round numbers from 0 to at least `most`, at most five of them; `base` is 1000 or 1024. */
export function ticks(most: number, base = 1000): number[] {
  if (!(most > 0)) return [0, 1];
  const scale = base ** Math.max(0, Math.floor(Math.log(most) / Math.log(base)));
  const rough = most / scale / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((one) => one * power >= rough) ?? 10) * power * scale;
  const found = [];
  for (let at = 0; at < most + step; at += step) found.push(at);
  return found;
}

/** The lines of a series: where nothing was measured there is a hole. A value between two holes is a dot. */
export function lines(values: readonly (number | null)[], x: (index: number) => number, y: (value: number) => number): string {
  let path = "";
  let open = false;
  values.forEach((value, index) => {
    if (value === null) {
      open = false;
      return;
    }
    const at = `${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    path += open ? `L${at}` : `M${at}h0.01`;
    open = true;
  });
  return path;
}

/** Whole times between begin and end for the axis: at most `most`. */
export function times(from: number, to: number, most: number): number[] {
  const steps = [60_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000];
  const step = steps.find((one) => (to - from) / one <= most) ?? 86_400_000;
  const shift = new Date(from).getTimezoneOffset() * 60_000;
  const found = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at < to; at += step) found.push(at);
  return found;
}

/** The highest value of all series; 0 if there is none. */
export const highest = (all: readonly (readonly (number | null)[])[]): number => {
  let most = 0;
  for (const values of all) for (const value of values) if (value !== null && value > most) most = value;
  return most;
};
