// What the demo shop sells: the stalls of a Romanian market square.
import type { Picture } from "./demo-pictures.ts";

export interface DemoCategory {
  readonly name: string;
  readonly description: string;
}

export interface DemoProduct {
  readonly name: string;
  readonly price: number;
  readonly stock: number;
  readonly categories: readonly string[];
  readonly picture: Picture;
}

const GARDEN = "From the garden";
const PANTRY = "Honey and preserves";
const DAIRY = "Cheese and dairy";
const BAKERY = "Bakery";
const CRAFT = "Pottery and wood";
const WEAVING = "Weaving and linen";

export const CATEGORIES: readonly DemoCategory[] = [
  { name: GARDEN, description: "Fruit and vegetables, picked this morning in the hills." },
  { name: PANTRY, description: "What the summer leaves in jars and bottles." },
  { name: DAIRY, description: "Sheep, cow and goat, from dairies with a name." },
  { name: BAKERY, description: "Baked in a wood oven, and sweet things for feast days." },
  { name: CRAFT, description: "Turned, carved and fired by hand; no two are alike." },
  { name: WEAVING, description: "Wool, hemp and linen from the looms of Maramureș." },
];

function product(
  name: string,
  [price, stock]: readonly [price: number, stock: number],
  categories: readonly string[],
  picture: Picture,
): DemoProduct {
  return { name, price, stock, categories, picture };
}

export const PRODUCTS: readonly DemoProduct[] = [
  product("Bistrița plums, 1 kg", [3.4, 180], [GARDEN], ["fruit", "#5b3f77", "#7a9a5b"]),
  product("Voinești apples, 1 kg", [2.2, 240], [GARDEN], ["fruit", "#c8452f", "#6f8f4e"]),
  product("Morello cherries, 500 g", [3.9, 90], [GARDEN], ["fruit", "#8e1f33", "#6f8f4e"]),
  product("Quince, 1 kg", [3.1, 60], [GARDEN], ["fruit", "#e3b23c", "#7a9a5b"]),
  product("Oxheart tomatoes, 1 kg", [3.6, 150], [GARDEN], ["fruit", "#d9522b", "#5d7f45"]),
  product("Kapia peppers, 1 kg", [2.9, 130], [GARDEN], ["fruit", "#b8322a", "#5d7f45"]),
  product("Walnuts in the shell, 1 kg", [5.5, 110], [GARDEN], ["sack", "#b98b5a", "#7d5a36"]),
  product("Dried porcini, 100 g", [8.9, 40], [GARDEN, PANTRY], ["sack", "#cfb48a", "#6b4a2f"]),
  product("Acacia honey, 500 g", [7.8, 120], [PANTRY], ["jar", "#f0c75e", "#b5562f"]),
  product("Linden honey, 500 g", [7.2, 120], [PANTRY], ["jar", "#e0a63a", "#6f8f4e"]),
  product("Comb honey, 350 g", [12.5, 3], [PANTRY], ["jar", "#d98e2b", "#5a4632"]),
  product("Rose petal jam, 250 g", [4.9, 70], [PANTRY], ["jar", "#d46a7e", "#7a9a5b"]),
  product("Green walnut preserve, 400 g", [6.4, 45], [PANTRY], ["jar", "#4f3b2a", "#c98a3a"]),
  product("Plum butter, 400 g", [4.2, 95], [PANTRY], ["jar", "#54304a", "#b5562f"]),
  product("Zacuscă with aubergine, 350 g", [3.8, 140], [PANTRY], ["jar", "#c75a2c", "#5d7f45"]),
  product("Elderflower cordial, 750 ml", [5.6, 80], [PANTRY], ["bottle", "#e9dfa0", "#7a9a5b"]),
  product("Sea buckthorn juice, 500 ml", [8.4, 55], [PANTRY], ["bottle", "#e8892b", "#b5562f"]),
  product("Sunflower oil, 1 l", [4.1, 160], [PANTRY], ["bottle", "#edc84a", "#6b4a2f"]),
  product("Telemea of sheep, 400 g", [6.9, 75], [DAIRY], ["wheel", "#f5ead0", "#c9b48a"]),
  product("Cașcaval of Săveni, 400 g", [7.4, 85], [DAIRY], ["wheel", "#f0cf73", "#c4913a"]),
  product("Burduf in fir bark, 300 g", [9.8, 30], [DAIRY], ["wheel", "#e8d3a2", "#6b4a2f"]),
  product("Smoked goat cheese, 250 g", [6.2, 3], [DAIRY], ["wheel", "#d9b06a", "#8a5a2f"]),
  product("Sour cream, 400 g", [2.6, 100], [DAIRY], ["jar", "#f7f0e0", "#7a93a8"]),
  product("Whipped butter, 200 g", [3.3, 90], [DAIRY], ["jar", "#f4dd8c", "#7a93a8"]),
  product("Potato bread, 1 kg", [3.2, 60], [BAKERY], ["loaf", "#b9793f", "#f0d6a5"]),
  product("Sourdough of Țara Bârsei, 800 g", [3.7, 60], [BAKERY], ["loaf", "#a5652f", "#ecd0a0"]),
  product("Cozonac with walnuts, 700 g", [8.9, 35], [BAKERY], ["loaf", "#8f4f26", "#d9a860"]),
  product("Kürtőskalács with cinnamon", [4.5, 50], [BAKERY], ["roll", "#c98a4b", "#8a5426"]),
  product("Honey gingerbread, 300 g", [3.9, 120], [BAKERY], ["heart", "#b5562f", "#f7ead2"]),
  product("Poppy seed roll, 600 g", [7.5, 40], [BAKERY], ["roll", "#b87a45", "#4a4450"]),
  product("Horezu plate, 26 cm", [24.0, 25], [CRAFT], ["plate", "#f3e6c8", "#2f6b5e"]),
  product("Horezu bowl with a rooster", [19.5, 30], [CRAFT], ["bowl", "#c8692f", "#f3e6c8"]),
  product("Black jug of Marginea", [28.0, 18], [CRAFT], ["jug", "#3b3a3c", "#77736d"]),
  product("Corund mug", [12.9, 65], [CRAFT], ["jug", "#3f6f94", "#f3e6c8"]),
  product("Spoon of lime wood", [6.5, 140], [CRAFT], ["spoon", "#d3a66a", "#9a6b38"]),
  product("Love spoon with a chain", [34.0, 3], [CRAFT], ["spoon", "#a8713d", "#6b4a2f"]),
  product("Willow basket", [22.0, 28], [CRAFT], ["basket", "#c08a4e", "#8a5f33"]),
  product("Wool rug of Maramureș", [149.0, 6], [WEAVING], ["cloth", "#a8322d", "#f0d9a8"]),
  product("Linen towel with red border", [18.5, 48], [WEAVING], ["cloth", "#f4ead6", "#b8322a"]),
  product("Hemp table runner", [32.9, 22], [WEAVING], ["cloth", "#d9c69a", "#2f6b5e"]),
  product("Wool socks", [9.9, 95], [WEAVING], ["socks", "#8c8478", "#b5562f"]),
  product(
    "Bread basket with linen",
    [27.5, 20],
    [CRAFT, WEAVING],
    ["basket", "#d0a062", "#b8322a"],
  ),
];
