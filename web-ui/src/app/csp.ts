/** The nonce under which this page may add styles (the editor does); filled in by the server with each answer. */
export const cspNonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
