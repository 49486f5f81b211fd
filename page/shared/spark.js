const SVG = "http://www.w3.org/2000/svg";

/** A bar chart without axes, as high as a line of text. */
export class Spark {
  #path = document.createElementNS(SVG, "path");
  #bars;

  /** @param {number} bars how many there is room for */
  constructor(bars) {
    this.#bars = bars;
    this.element = document.createElementNS(SVG, "svg");
    const attributes = {
      class: "spark",
      viewBox: `0 0 ${bars} 10`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    };
    for (const [name, value] of Object.entries(attributes)) this.element.setAttribute(name, value);
    this.element.append(this.#path);
  }

  /** @param {Iterable<[number, number]>} values by place, from 0; a place without one has no bar */
  draw(values) {
    const shown = [...values].filter(([place]) => place >= 0 && place < this.#bars);
    const highest = Math.max(0, ...shown.map(([, value]) => Math.abs(value)));
    const path = shown
      .map(([place, value]) => {
        const height = Math.max(1, highest ? (Math.abs(value) / highest) * 10 : 1);
        return `M${place + 0.1} 10v${-height}h0.8V10z`;
      })
      .join("");
    if (this.#path.getAttribute("d") !== path) this.#path.setAttribute("d", path);
  }
}
