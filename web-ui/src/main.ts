import { VueQueryPlugin } from "@tanstack/vue-query";
import { createPinia } from "pinia";
import { createApp } from "vue";
import App from "./app/App.vue";
import { chosenLanguage, i18n, setLanguage } from "./app/i18n";
import { queryClient } from "./app/query";
import { router } from "./app/router";
import "./ui/tokens.css";
import "./ui/base.css";
import "virtual:uno.css";
import "./app/theme";

await setLanguage(chosenLanguage());
createApp(App).use(createPinia()).use(i18n).use(VueQueryPlugin, { queryClient }).use(router).mount("#app");
