// All programs in one process: what npm start -- --compact runs. The settings are the same as those
// of the programs by themselves, in one environment. Plain JavaScript: types would have Node load a
// compiler that stays in memory.
import { runTogether } from "@piata/kit/run";
import { access } from "../services/access/dist/main.js";
import { cart } from "../services/cart/dist/main.js";
import { catalog } from "../services/catalog/dist/main.js";
import { discovery } from "../services/discovery/dist/main.js";
import { gateway } from "../services/gateway/dist/main.js";
import { order } from "../services/order/dist/main.js";
import { payment } from "../services/payment/dist/main.js";

await runTogether("compact", [[discovery], [access, catalog, cart, payment], [order], [gateway]]);
