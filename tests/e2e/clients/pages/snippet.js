// analytics.js by a snippet, which has put its queue, and later the library, into `window.analytics`.

import { maker } from "./make.js";

window.make = maker(() => window.analytics);
