/** Sets the clock forward by a day each time somebody looks at it, until disposed of. */
export function runningClock(): Disposable {
  const { now } = Date;
  let days = 0;
  Date.now = () => now() + ++days * 24 * 60 * 60 * 1000;
  return {
    [Symbol.dispose]() {
      Date.now = now;
    },
  };
}
