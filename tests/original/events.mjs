// Generates events of every shape that clients send, as JSON text and not as objects: the order of keys, repeated keys,
// escapes and the spelling of numbers all matter to the result.

import fc from "fast-check";

const json = (value) => fc.constant(JSON.stringify(value));
const anyOf = (...values) => fc.constantFrom(...values);
const jsonOf = (...values) => anyOf(...values.map((value) => JSON.stringify(value)));
const weighted = (...choices) => fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })));

/** Generates a member of an object, present in `percent` of all cases. Its key may vary like its value. */
const field = (key, value, percent = 100) =>
  weighted(
    [Math.round(percent), fc.tuple(typeof key === "string" ? fc.constant(key) : key, value)],
    [100 - Math.round(percent), fc.constant(null)],
  );

/** Generates the JSON text of an object with these members in any order, and with repeated keys. */
const object = (...fields) =>
  fc
    .tuple(...fields)
    .map((members) => members.filter((member) => member !== null))
    .chain((members) => fc.shuffledSubarray(members, { minLength: members.length }))
    .map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`)}}`);

// ---- Names

const words = anyOf("Signed Up", "Order Completed", "B2", "x.y_z", "42", "api/v1:get");
const marks = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 8 });
const scripts = fc.string({ unit: "grapheme", minLength: 1, maxLength: 5 });
const planes = fc.string({ unit: "binary", minLength: 1, maxLength: 4 });
const mixed = fc.string({
  unit: anyOf(..."aZ9._-: /éß日😀\u0000\u212a"),
  minLength: 1,
  maxLength: 10,
});
// Around the limit of 255 code units, with an astral character here and there to be cut in two.
const long = fc
  .tuple(fc.integer({ min: 250, max: 258 }), anyOf("", "é", "😀", " /"), anyOf("", "b", "😀😀", "b".repeat(60)))
  .map(([length, middle, end]) => "a".repeat(length) + middle + end);

const text = weighted([3, words], [4, marks], [4, scripts], [2, planes], [6, mixed], [2, long]);

// Most clients send UTF-8, some escape all that is not ASCII.
const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
const name = weighted(
  [3, text.map((chosen) => JSON.stringify(chosen))],
  [1, text.map((chosen) => JSON.stringify(chosen).replace(/[^ -~]/g, escaped))],
);
const shortName = jsonOf("a", "B", "c d");
const titles = weighted(
  [6, jsonOf("Home", "Docs", "a b", " ")],
  [2, name],
  [2, jsonOf("", null)],
  [2, jsonOf(7, 1.5, -3, 1e21, 1e-7, true, 0, false)],
  [1, jsonOf({}, { a: 1 }, [], ["a", 1], [null, ["b"]])],
);

// ---- Values

// Librato takes magnitudes with a decimal exponent of up to 126, and makes 0 of those below -130.
const double = fc
  .double({ noNaN: true, min: -1e126, max: 1e126 })
  .filter((number) => number === 0 || Math.abs(number) > 1e-130);
const number = weighted(
  [4, fc.integer({ min: -20, max: 200 }).map(String)],
  [2, fc.integer().map(String)],
  [2, fc.integer({ min: -9999, max: 9999 }).map((cents) => (cents / 100).toFixed(2))],
  [3, double.map(String)],
  [1, anyOf("0", "-0", "0.0")],
  [2, anyOf("2.0", "1e3", "1E+2", "25e-1", "1.5E0", "-0.5e1")],
  [1, anyOf("9007199254740993", "12345678901234567890", "-100000000000000000000", "9.5e126", "-9.5e126")],
);
// Values that the original passed on as they were, and that this project reads or refuses.
const noNumber = jsonOf("5", "$1.50", "", "abc", true, false, {}, [5], "2014-01-01", 1e127);
const otherValueKey = anyOf("Value", "VALUE", "vAlue", "VA_LUE", "va-lue", "$value", "v alue", "(value)", "€value");
const valueKey = weighted([5, anyOf("value")], [4, otherValueKey]);
const otherKey = anyOf("revenue", "total", "price", "values", "my_value", "value2", "name", "$", "7");
const otherValue = jsonOf(9, "x", null, true, { value: 9 }, [{ value: 9 }]);
const properties = (percent) =>
  weighted(
    [
      12,
      object(
        field(valueKey, weighted([18, number], [2, json(null)], [1, noNumber]), percent),
        field(otherValueKey, weighted([3, number], [1, json(null)]), percent / 4),
        field("value", number, percent / 8),
        field(otherKey, otherValue, 20),
      ),
    ],
    [1, jsonOf(null, {}, [], [{ value: 9 }], "value", 5, true, "")],
  );

// ---- Sources and switches

const source = jsonOf("w", "W2", "eu:1", "b.c_-");
const falsySource = jsonOf("", 0, null, false);
const otherwise = anyOf("librato", "LIBRATO", "li_brato", "$Librato", "Lib-Rato");
const librato = weighted([8, anyOf("Librato")], [4, otherwise]);
const all = anyOf("All", "all", "ALL");
const sourceKey = weighted([2, anyOf("source")], [1, anyOf("Source", "SOURCE", "$source", "so_urce")]);
const oddSource = jsonOf("my web", "a/b", "all", 7, true, {}, ["w"], "2014-01-01", "Größe");
const named = object(field("source", source), field("a", jsonOf(1, null), 10));
const nameless = weighted(
  [3, object(field("source", falsySource))],
  [2, object(field(anyOf("Source", "SOURCE", "$source"), source))],
  [3, jsonOf({}, [], { a: 1 })],
);
const entry = weighted(
  [8, named],
  [4, nameless],
  [1, object(field("source", falsySource), field("source", source))],
  [3, json(true)],
  [3, json(false)],
  [3, jsonOf("yes", "false", "", 0, 1)],
);
const nothing = jsonOf(null, false, 0, "");
const noObject = jsonOf([], ["Librato"], "Librato", true, 5);

const integrations = weighted(
  [
    14,
    object(
      field(librato, entry, 75),
      field(otherwise, named, 15),
      field("Librato", entry, 4),
      field(all, weighted([3, json(false)], [1, json(true)], [2, jsonOf("false", 0, null)]), 30),
      field(anyOf("Mixpanel", "Libratos"), jsonOf(true, false), 10),
    ),
  ],
  [2, json({})],
  [2, nothing],
  [1, noObject],
);
const providers = object(
  field(librato, entry, 60),
  field(all, jsonOf(false, false, true, "x"), 40),
  field("Mixpanel", json(true), 10),
);
/** Generates the contents of `context`, or of the `options` of older libraries. */
const options = (percent) =>
  weighted(
    [
      16,
      object(
        field(librato, entry, percent),
        field(sourceKey, weighted([16, source], [2, falsySource], [1, oddSource]), percent),
        field(sourceKey, source, 8),
        field(all, jsonOf(false, false, true, "false"), 10),
        field("providers", providers, 12),
        field(anyOf("campaign", "page", "app"), named, 8),
      ),
    ],
    [1, json({})],
    [2, nothing],
    [1, noObject],
  );
// The place with precedence is empty, and the next one may not be.
const hiding = object(field(librato, weighted([3, json(true)], [4, nameless], [1, jsonOf("yes", 0, 1)])));
const silent = weighted([1, json({})], [1, object(field("Mixpanel", json(true)))]);
const speaking = object(field(librato, named), field(sourceKey, source, 30));

// ---- Times

const two = (n) => String(n).padStart(2, "0");

/** Returns an instant by a clock that is `ahead` minutes east of UTC. */
function wall(ms, ahead = 0) {
  const [date, time] = new Date(ms + ahead * 60_000).toISOString().slice(0, -1).split("T");
  const [hour, minute, second] = time.split(/[:.]/);
  return { date, hour, minute, second, millisecond: time.slice(-3) };
}

const zones = anyOf(
  [0, ""],
  [0, "Z"],
  [0, "Z"],
  [0, "+00:00"],
  [60, "+01:00"],
  [120, "+0200"],
  [330, "+05:30"],
  [345, "+0545"],
  [720, "+12"],
  [-60, "-01:00"],
  [-300, "-05"],
  [-570, "-0930"],
);
const digits = fc.string({ unit: anyOf("0", "4", "9"), minLength: 1, maxLength: 9 });

/** Generates ISO 8601 dates, with and without each optional part and separator. */
const iso = (instant) =>
  fc
    .record({
      instant,
      zone: zones,
      dash: weighted([4, anyOf("-")], [1, anyOf("")]),
      separator: weighted([4, anyOf("T")], [1, anyOf(" ")]),
      colon: weighted([4, anyOf(":")], [1, anyOf("")]),
      seconds: weighted([6, anyOf(true)], [1, anyOf(false)]),
      point: weighted([5, anyOf(".")], [1, anyOf(",")]),
      fraction: weighted([4, anyOf("its own")], [3, anyOf("")], [3, digits]),
    })
    .map((form) => {
      const { dash, separator, colon, seconds, point } = form;
      const [ahead, zone] = form.zone;
      const { date, hour, minute, second, millisecond } = wall(form.instant, ahead);
      const fraction = form.fraction === "its own" ? millisecond : form.fraction;
      return [
        date.replaceAll("-", dash),
        separator,
        hour + colon + minute,
        seconds ? colon + second + (fraction && point + fraction) : "",
        zone,
      ].join("");
    });

/** Generates months, days, hours, minutes and seconds beyond their range, which roll over. */
const rolled = (instant) =>
  fc.tuple(instant, anyOf("month", "day", "hour", "minute", "second")).map(([ms, what]) => {
    const beyond = { month: 0, day: 0, hour: 86_400_000, minute: 3_600_000, second: 60_000 }[what];
    const { date, hour, minute, second } = wall(ms - beyond);
    const [year, month, day] = date.split("-").map(Number);
    switch (what) {
      case "month": // 2025-23-23: the 23rd month of 2025 is November 2026.
        return `${year - 1}-${month + 12}-${two(day)}T${hour}:${minute}:${second}Z`;
      case "day": {
        // 2026-10-54: the 54th of October is the 23rd of November.
        const before = new Date(Date.UTC(year, month - 1, 0));
        return `${year}-${two(month - 1)}-${before.getUTCDate() + day}T${hour}:${minute}:${second}Z`;
      }
      case "hour":
        return `${date}T${24 + Number(hour)}:${minute}:${second}Z`;
      case "minute":
        return `${date}T${hour}:${60 + (minute % 40)}:${second}Z`;
      default:
        return `${date}T${hour}:${minute}:${60 + (second % 40)}Z`;
    }
  });

/** Generates dates in forms that only JavaScript's own `Date.parse` reads. */
const native = (instant) =>
  fc
    .tuple(
      instant,
      anyOf(
        (date) => date.toString(),
        (date) => date.toUTCString(),
        (date) => date.toUTCString().replace("GMT", "+0000"),
        (date) => date.toUTCString().replace(/^.*, (\d+) (\w+) (.*) GMT$/, "$2 $1, $3"),
        (date) => date.toLocaleString("en-US", { timeZone: "UTC" }).replaceAll("\u202f", " "),
        (date) => date.toISOString().replace(/(\d+)-(\d+)-(\d+)T(.*)\..*/, "$2/$3/$1 $4"),
        (date) => date.toISOString().replace(/(\d+)-(\d+)-(\d+)T(.*)\..*/, "$1/$2/$3 $4"),
        (date) => date.toISOString().replace(/T(.*)Z/, " $1 +0000"),
        (date) => date.toISOString().toLowerCase(),
        (date) => `+00${date.toISOString()}`,
      ),
    )
    .map(([ms, write]) => write(new Date(ms)));

/** Generates epoch times in seconds and milliseconds, as numbers and as digits with or without other text after them. */
const epoch = (instant) =>
  fc
    .tuple(
      instant.map((ms) => [Math.floor(ms / 1000), ms]),
      anyOf(
        ([s]) => `${s}`,
        ([, ms]) => `${ms / 1000}`,
        ([, ms]) => `${ms / 1e12}e9`,
        ([, ms]) => `${ms}`,
        ([, ms]) => `${ms}.9`,
        ([s]) => `"${s}"`,
        ([s]) => `"0${s}"`,
        ([s]) => `"00${s}"`,
        ([s]) => `"${s} s"`,
        ([, ms]) => `"${ms / 1000}"`,
        ([, ms]) => `"${ms}"`,
        ([, ms]) => `"${ms}ms"`,
      ),
    )
    .map(([instants, write]) => write(instants));

const timestamp = (instant) =>
  weighted(
    [7, iso(instant).map((date) => JSON.stringify(date))],
    [2, rolled(instant).map((date) => JSON.stringify(date))],
    [4, native(instant).map((date) => JSON.stringify(date))],
    [9, epoch(instant)],
    [1, jsonOf(null, "", "garbage", true, {}, 0, "2014", "2026-11-23", "abc1795435140")],
  );

// ---- Events

const user = weighted([9, field("userId", jsonOf(1, "u"))], [1, field("anonymousId", jsonOf("a", 2.5))]);
const track = (event = shortName) => [field("type", json("track")), field("event", event), user];
const page = (percent = 30) => [
  field("type", json("page")),
  field("category", titles, percent),
  field("name", titles, percent * 1.8),
  user,
];

/**
 * Generates the JSON text of events whose timestamps, if they have one, lie in the two hours before `receivedAt`. Each
 * group varies one aspect widely and the others hardly, and the last one all of them.
 */
export function events(receivedAt) {
  const instant = fc.integer({ min: receivedAt - 7_140_000, max: receivedAt });
  const time = timestamp(instant);
  return weighted(
    // Names
    [10, object(...track(name), field("event", name, 4))],
    [9, object(...page(50))],
    // Values
    [12, object(...track(), field("properties", properties(90)))],
    [3, object(...page(15), field("properties", properties(90)))],
    // Times
    [20, object(...track(), field("timestamp", time))],
    // Sources and switches
    [14, object(...track(), field("integrations", integrations), field("context", options(50), 35))],
    [16, object(...track(), field(anyOf("context", "context", "options"), options(60)))],
    [6, object(...track(), field("options", options(50)), field("context", options(50)))],
    [3, object(...track(), field("options", options(50)), field("integrations", integrations))],
    [6, object(...track(), field("integrations", hiding), field("context", speaking))],
    [4, object(...track(), field("integrations", silent), field(anyOf("context", "options"), speaking))],
    // All of them
    [
      3,
      object(
        ...track(name),
        field("properties", properties(60), 60),
        field("timestamp", time, 60),
        field("context", options(40), 40),
        field("integrations", integrations, 40),
      ),
    ],
  );
}
