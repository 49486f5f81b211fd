// One call, in the words that every library for browsers understands. Its settings must have no key that is
// undefined: some libraries take that for a value.

const present = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** How Segment's libraries take what is not a property. */
export function segmentSettings({ integrations, context, timestamp }) {
  return present({ integrations, context, timestamp: timestamp && new Date(timestamp) });
}

/** How RudderStack's does: the context lies open, and the time has another name. */
export function rudderstackSettings({ integrations, context, timestamp }) {
  return present({ integrations, ...context, originalTimestamp: timestamp });
}

/** Makes a call of the library that `library` returns. Returns what that returns: a promise, if it is analytics.js. */
export function maker(library, settingsOf = segmentSettings) {
  return (call) => {
    const { type, event, category, name, properties } = call;
    const what = type === "track" ? [event] : [category, name].filter((text) => text !== undefined);
    return library()[type](...what, properties, settingsOf(call));
  };
}
