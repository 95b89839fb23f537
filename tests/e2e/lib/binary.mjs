// binary.mjs — the hub that is tested.
export const BINARY = process.env.CARILLON ?? new URL('../../../build/carillon', import.meta.url).pathname;
