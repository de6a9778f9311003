/**
 * Whether a file is run whole: `make prove-page`, or a file that was asked for by name. `make test` has no time for each codec and each browser where they
 * differ in nothing but their names.
 */
export const whole = process.env['E2E_WHOLE'] === '1';
