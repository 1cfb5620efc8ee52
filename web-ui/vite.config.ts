import { fileURLToPath, URL } from "node:url";
import vue from "@vitejs/plugin-vue";
import unocss from "@unocss/vite";
import { defineConfig } from "vite";
import { precompress } from "./vite/precompress.ts";
import { unoConfig } from "./vite/uno.ts";

/** The controller that `npm run dev` talks to; `scripts/run` starts one. */
const api = process.env["WINDFLOW_API"] ?? "https://127.0.0.1:8443";

export default defineConfig({
  plugins: [
    // No hoisted HTML strings: nothing in the page is ever parsed from text, whatever the trusted-types policy says.
    vue({ template: { compilerOptions: { hoistStatic: false } } }),
    unocss(unoConfig),
    precompress(),
  ],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  define: {
    __VUE_OPTIONS_API__: "false",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
    __VUE_I18N_FULL_INSTALL__: "false",
    __VUE_I18N_LEGACY_API__: "false",
    __INTLIFY_PROD_DEVTOOLS__: "false",
  },
  server: {
    port: 5173,
    // The controller refuses changes and sockets from another site: to it, this page must look like its own.
    proxy: { "/api": { target: api, ws: true, secure: false, changeOrigin: true, headers: { origin: api } } },
  },
  build: {
    target: "es2022",
    manifest: true,
    // The policy of the page allows no data: fonts or scripts; keep every asset a file of its own.
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
        manualChunks(id: string) {
          if (/node_modules\/(@?codemirror|@lezer|style-mod|w3c-keyname|crelt|@marijn)/.test(id)) return "editor";
          if (/node_modules\/(vue|@vue|vue-router|vue-i18n|@intlify|pinia|@tanstack|openapi-fetch)/.test(id)) return "core";
          if (/node_modules\/(reka-ui|@floating-ui|@vueuse|@internationalized|aria-hidden)/.test(id)) return "kit";
          return undefined;
        },
      },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
