import { defineConfig } from "vite";

// The built page is part of the Python package and lies in the repository: setting up needs no Node.js.
export default defineConfig({
  base: "/",
  build: {
    outDir: "../api/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 300,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000" } },
});
