
"use strict";
// The sample browser. Whatever comes from data is put into the page as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const { asks, texts, answers, rows, runs, tasks, pictures } = data;
  const n = rows.id.length;
  const ROW_PX = 64;
  const OVERSCAN = 6;
  const TALLEST_PX = 8_000_000; // browsers lay out nothing taller than two to four times this
  const STATES = {
    r: ["right", "✓", "right"],
    p: ["partly", "◐", "partly right"],
    w: ["wrong", "✗", "wrong"],
    u: ["unparsed", "?", "unparsed"],
    e: ["error", "!", "error"],
    n: ["ungraded", "…", "not graded"],
    "-": ["absent", "–", "not asked"],
  };
  const FILTERS = ["q", "task", "style", "shape", "color", "state", "run", "between"];
  const cut = answers.map((each) => new Set(each.cut));
  const list = byId("list");
  const spacer = byId("spacer");
  const detail = byId("detail");
  const fields = Object.fromEntries(FILTERS.map((name) => [name, byId(`f-${name}`)]));
  const filters = Object.fromEntries(FILTERS.map((name) => [name, ""]));
  let found = [];
  let selected = -1; // a row
  let cursor = -1; // its place in `found`, if it is there
  let pinned = false; // the address names the selected row

  // --- small helpers

  const element = (tag, properties = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "class") made.className = value;
      else if (name === "text") made.textContent = value;
      else if (value !== null) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  // A name, which may be broken where its parts end, as on the rest of the page.
  const NAME_PARTS = /[-_/:=+]*[^-_/:=+]+[-_/:=+]*|[-_/:=+]+/g;
  const bdi = (text) => {
    const parts = text.match(NAME_PARTS) ?? [];
    return element("bdi", {}, ...parts.flatMap((part, n) => (n ? [element("wbr"), part] : [part])));
  };
  const text = (place) => (place < 0 ? "" : texts[place]);
  const counted = (number) => number.toLocaleString("en");
  const askOf = (run, row) => answers[run].ask[row];
  const firstAsk = (row) => {
    for (let run = 0; run < runs.length; run++) if (askOf(run, row) >= 0) return askOf(run, row);
    return -1;
  };
  const asksOf = (row) =>
    [...new Set(runs.map((_, run) => askOf(run, row)))].filter((ask) => ask >= 0);
  const turnText = (turn) => turn.map(text).join("\n");
  const taskLabel = (row) => tasks[rows.task[row]].label;
  const styleLabel = (row) => data.styles[rows.style[row]];
  const runDot = (run) => element("span", { class: `key r${run % 8}`, "aria-hidden": "true" });
  const stateOf = (run, row) => answers[run].state[row];
  const stateWords = (run, row) => {
    const letter = stateOf(run, row);
    const value = answers[run].value[row];
    const words = value === undefined ? STATES[letter][2] : `${Math.round(100 * value)} %`;
    return words + (cut[run].has(row) ? ", truncated" : "");
  };
  const chip = (run, row, withWords) => {
    const [name, sign] = STATES[stateOf(run, row)];
    const words = stateWords(run, row);
    return withWords
      ? element(
          "span",
          { class: `state ${name}` },
          element("span", { class: "sign", "aria-hidden": "true", text: sign }),
          ` ${words}`,
        )
      : element("span", { class: `state ${name}`, title: `${runs[run].label}: ${words}`, text: sign });
  };

  // --- search: every text once, then the rows that hold one of them

  let folded = null;
  const matches = (word) => {
    folded ??= texts.map((each) => each.toLowerCase());
    const hit = new Uint8Array(texts.length);
    for (let place = 0; place < folded.length; place++)
      if (folded[place].includes(word)) hit[place] = 1;
    const asked = new Uint8Array(asks.turns.length);
    for (let ask = 0; ask < asked.length; ask++) {
      asked[ask] =
        hit[asks.target[ask]] ||
        hit[asks.group[ask]] ||
        asks.tags[ask].some((place) => hit[place]) ||
        asks.turns[ask].some((turn) => turn.some((place) => hit[place]))
          ? 1
          : 0;
    }
    return (row) => {
      if (hit[rows.id[row]]) return true;
      for (let run = 0; run < runs.length; run++) {
        const each = answers[run];
        if (asked[each.ask[row]] || hit[each.text[row]] || hit[each.parsed[row]]) return true;
        if (hit[each.note[row]]) return true;
      }
      return false;
    };
  };

  // --- filters

  const isRight = (run, row) => stateOf(run, row) === "r";
  const isScored = (run, row) => "rpwu".includes(stateOf(run, row));
  const stateTest = (name, run) => {
    const letter = Object.keys(STATES).find((key) => STATES[key][0] === name);
    const test =
      name === "cut"
        ? (each, row) => cut[each].has(row)
        : name === "notright"
          ? (each, row) => "pwue".includes(stateOf(each, row))
          : (each, row) => stateOf(each, row) === letter;
    if (run >= 0) return (row) => test(run, row);
    return (row) => runs.some((_, each) => test(each, row));
  };
  const betweenTest = (name) => {
    if (name === "differ") {
      return (row) => {
        const scored = runs.map((_, run) => run).filter((run) => isScored(run, row));
        return new Set(scored.map((run) => isRight(run, row))).size > 1;
      };
    }
    const [one, two] = name.split("-").map((number) => Number(number) - 1);
    return (row) => isRight(one, row) && isScored(two, row) && !isRight(two, row);
  };
  const tests = () => {
    const chosen = [];
    const equal = (column, names, value) => {
      const place = names.indexOf(value);
      chosen.push((row) => column[row] === place);
    };
    const marked = (column, names, value) => {
      const place = names.indexOf(value);
      chosen.push((row) => runs.some((_, run) => column[askOf(run, row)] === place));
    };
    if (filters.task) equal(rows.task, tasks.map((task) => task.label), filters.task);
    if (filters.style) equal(rows.style, data.styles, filters.style);
    if (filters.shape) marked(asks.shape, data.shapes, filters.shape);
    if (filters.color) marked(asks.color, data.colors, filters.color);
    const run = filters.run ? Number(filters.run) - 1 : -1;
    if (filters.state) chosen.push(stateTest(filters.state, run));
    else if (run >= 0) chosen.push((row) => stateOf(run, row) !== "-");
    if (filters.between) chosen.push(betweenTest(filters.between));
    for (const word of filters.q.toLowerCase().split(/\s+/)) if (word) chosen.push(matches(word));
    return chosen;
  };
  const apply = () => {
    const chosen = tests();
    found = [];
    for (let row = 0; row < n; row++) if (chosen.every((test) => test(row))) found.push(row);
    cursor = selected < 0 ? -1 : found.indexOf(selected);
    if (cursor < 0 && !pinned) {
      cursor = found.length ? 0 : -1;
      selected = found.length ? found[0] : -1;
    }
    const nothing = "Nothing passes these filters.";
    byId("count").textContent = found.length
      ? `${counted(found.length)} of ${counted(n)} (each sample counts once a style)`
      : nothing;
    spacer.style.setProperty("height", `${Math.min(found.length * ROW_PX, TALLEST_PX)}px`);
    reveal();
    drawList();
    drawDetail();
  };

  // --- the address

  const address = () => {
    const parameters = new URLSearchParams();
    for (const name of FILTERS) if (filters[name]) parameters.set(name, filters[name]);
    if (pinned && selected >= 0) {
      parameters.set("in", taskLabel(selected));
      parameters.set("under", styleLabel(selected));
      parameters.set("id", text(rows.id[selected]));
    }
    return `#/${parameters}`;
  };
  const remember = (isNew) => {
    if (location.hash === address()) return;
    if (isNew) history.pushState(null, "", address());
    else history.replaceState(null, "", address());
  };
  const rowOf = (task, style, id) => {
    const [taskPlace, stylePlace] = [
      tasks.findIndex((each) => each.label === task),
      data.styles.indexOf(style),
    ];
    for (let row = 0; row < n; row++) {
      const here = rows.task[row] === taskPlace && rows.style[row] === stylePlace;
      if (here && texts[rows.id[row]] === id) return row;
    }
    return -1;
  };
  const restore = () => {
    const parameters = new URLSearchParams(location.hash.slice(2));
    for (const name of FILTERS) {
      const wanted = parameters.get(name) ?? "";
      fields[name].value = wanted;
      // A select has no value that it does not offer.
      filters[name] = fields[name].value === wanted ? wanted : "";
      fields[name].value = filters[name];
    }
    selected = parameters.has("id")
      ? rowOf(parameters.get("in"), parameters.get("under"), parameters.get("id"))
      : -1;
    pinned = selected >= 0;
    apply();
    if (parameters.has("id") && !pinned)
      byId("count").prepend(`This report has no sample ${parameters.get("id")} as the address names it. `);
  };

  // --- the list: only the rows that can be seen exist

  const scale = () => {
    const room = Math.max(1, spacer.offsetHeight - list.clientHeight);
    const needed = Math.max(1, found.length * ROW_PX - list.clientHeight);
    return Math.max(1, needed / room);
  };
  const offset = () => list.scrollTop * scale();
  const reveal = () => {
    if (cursor < 0) return;
    const [top, bottom] = [cursor * ROW_PX, (cursor + 1) * ROW_PX];
    if (top < offset()) list.scrollTop = top / scale();
    else if (bottom > offset() + list.clientHeight)
      list.scrollTop = (bottom - list.clientHeight) / scale();
  };
  const thumbnail = (ask) => {
    const place = ask < 0 ? -1 : asks.picture[ask];
    if (place < 0) return element("span", { class: "thumb", "aria-hidden": "true" });
    const more = asks.others[ask]?.length ?? 0;
    return element(
      "span",
      { class: "thumbs" },
      element("img", { class: "thumb", alt: "", src: pictures.folder + pictures.source[place] }),
      more ? element("small", { text: `+${more}` }) : null,
    );
  };
  const images = (ask) => {
    const more = asks.others[ask]?.length ?? 0;
    return more ? `, ${more + 1} images` : "";
  };
  const marks = (ask) => {
    const named = [data.colors[asks.color[ask]], data.shapes[asks.shape[ask]]];
    const known = named.filter((each) => each !== undefined);
    return known.length && known.every((each) => each === "mixed") ? "mixed marks" : known.join(" ");
  };
  const listRow = (place) => {
    const row = found[place];
    const ask = firstAsk(row);
    const mark = ask < 0 ? "" : marks(ask);
    const made = element(
      "div",
      {
        class: row === selected ? "row chosen" : "row",
        role: "option",
        id: `row-${place}`,
        "aria-selected": String(row === selected),
        "aria-setsize": String(found.length),
        "aria-posinset": String(place + 1),
        "aria-label": [
          `${text(rows.id[row])}, ${taskLabel(row)}, ${styleLabel(row)}${mark && `, ${mark}`}${images(ask)}`,
          ...runs.map((run, number) => `${run.label}: ${stateWords(number, row)}`),
        ].join("; "),
      },
      thumbnail(ask),
      element(
        "span",
        { class: "names" },
        element("b", {}, bdi(text(rows.id[row]))),
        element("small", {}, bdi(`${taskLabel(row)} · ${styleLabel(row)}${mark && ` · ${mark}`}`)),
      ),
      element("span", { class: "chips" }, ...runs.map((_, run) => chip(run, row, false))),
    );
    made.style.setProperty("top", `${place * ROW_PX - offset() + list.scrollTop}px`);
    made.dataset.place = String(place);
    return made;
  };
  const drawList = () => {
    const first = Math.max(0, Math.floor(offset() / ROW_PX) - OVERSCAN);
    const last = Math.min(
      found.length,
      Math.ceil((offset() + list.clientHeight) / ROW_PX) + OVERSCAN,
    );
    const drawn = [];
    for (let place = first; place < last; place++) drawn.push(listRow(place));
    spacer.replaceChildren(...drawn);
    if (cursor >= first && cursor < last) list.setAttribute("aria-activedescendant", `row-${cursor}`);
    else list.removeAttribute("aria-activedescendant");
  };

  // --- one sample

  const picture = (row, ask) => {
    const place = asks.picture[ask];
    if (place < 0) return element("p", { class: "nopicture", text: text(asks.why[ask]) });
    const exact = {
      1: "exactly the pixels that the model saw",
      0: "not the pixels that the model saw: the image, or how it is drawn, has changed since",
      "-1": "fitted as for a model",
    }[pictures.exact[place]];
    const marked = marks(ask) && `, marked: ${marks(ask)}`;
    const shown = [place, ...(asks.others[ask] ?? [])];
    const several = shown.length > 1;
    const each = several ? " each" : "";
    const caption = element("figcaption", { text: `${pictures.size} × ${pictures.size} px${each}, ${exact}` });
    const images = shown.map((one, number) => {
      const image = element("img", {
        alt: several
          ? `Sample ${text(rows.id[row])}, image ${number + 1} of ${shown.length}`
          : `Sample ${text(rows.id[row])}${marked}`,
        src: pictures.folder + pictures.source[one],
        width: "320",
        height: "320",
      });
      image.addEventListener("error", () => {
        caption.textContent = `no picture: the folder ${pictures.folder} is not beside this page`;
      });
      return image;
    });
    const size = pictures.size <= 128 ? "small" : "";
    if (!several) return element("figure", { class: size }, ...images, caption);
    const labelled = images.map((image, number) =>
      element("div", {}, element("small", { text: `image ${number + 1}` }), image),
    );
    const beside = element("div", { class: "beside" }, ...labelled);
    beside.style.setProperty("--n", String(shown.length));
    const name = `Sample ${text(rows.id[row])}${marked}`;
    return element("figure", { class: `several ${size}`, "aria-label": name }, beside, caption);
  };
  const choosers = (row, ask, letter) =>
    runs
      .map((_, run) => run)
      .filter((run) => askOf(run, row) === ask && text(answers[run].parsed[row]) === letter)
      .map((run) => element("span", { class: "chooser" }, runDot(run), bdi(runs[run].label)));
  const question = (row, ask) => {
    const made = element("div", { class: "question" });
    asks.turns[ask].forEach((turn, place) => {
      made.append(
        element("h4", { text: place % 2 ? "Model (given)" : "Prompt" }),
        element("pre", { class: place % 2 ? "turn given" : "turn", dir: "auto", text: turnText(turn) }),
      );
    });
    if (asks.options[ask].length) {
      const options = asks.options[ask].map((place, option) => {
        const letter = String.fromCharCode(65 + option);
        const right = option === asks.right[ask];
        return element(
          "li",
          { class: right ? "right" : "" },
          element("span", { dir: "auto", text: text(place) }),
          right ? element("span", { class: "state right", text: "✓ right" }) : null,
          ...choosers(row, ask, letter),
        );
      });
      made.append(element("h4", { text: "Options" }), element("ul", { class: "options" }, ...options));
    }
    made.append(
      element("h4", { text: "Target" }),
      element("p", { class: "target", dir: "auto", text: text(asks.target[ask]) }),
    );
    return made;
  };
  const head = (...names) =>
    element("thead", {}, element("tr", {}, ...names.map((text) => element("th", { scope: "col", text }))));
  const scrolled = (label, table) =>
    element("div", { class: "scroll", role: "group", tabindex: "0", "aria-label": label }, table);
  const answerTable = (row) => {
    const metrics = [...new Set(answers.flatMap((each) => Object.keys(each.more)))].filter((metric) =>
      answers.some((each) => each.more[metric]?.[row] !== undefined),
    );
    const lines = runs.map((run, number) => {
      const each = answers[number];
      const raw = each.text[row];
      const parsed = each.parsed[row];
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, runDot(number), bdi(run.label)),
        element("td", {}, chip(number, row, true)),
        element(
          "td",
          { class: "answer" },
          raw >= 0 ? element("pre", { dir: "auto", text: text(raw) }) : null,
          each.note[row] >= 0 ? element("p", { class: "note", text: text(each.note[row]) }) : null,
        ),
        element("td", {}, parsed >= 0 ? element("code", { text: text(parsed) }) : "–"),
        ...metrics.map((metric) => {
          const value = each.more[metric]?.[row];
          return element("td", { class: "num", text: value == null ? "–" : `${Math.round(100 * value)} %` });
        }),
      );
    });
    const table = element(
      "table",
      { class: "plain answers" },
      element("caption", { text: `Answers (${tasks[rows.task[row]].metric})` }),
      head("model", "result", "answer as given", "parsed", ...metrics),
      element("tbody", {}, ...lines),
    );
    return scrolled("Answers", table);
  };
  let rowsById = null;
  const related = (row) => {
    if (rowsById === null) {
      rowsById = new Map();
      rows.id.forEach((id, each) => {
        if (!rowsById.has(id)) rowsById.set(id, []);
        rowsById.get(id).push(each);
      });
    }
    const [task, style] = [rows.task[row], rows.style[row]];
    return rowsById.get(rows.id[row]).filter((other) => {
      if (rows.task[other] === task) return true;
      const joined =
        tasks[task].parts.includes(rows.task[other]) || tasks[rows.task[other]].parts.includes(task);
      return joined && rows.style[other] === style;
    });
  };
  const link = (row) => {
    const parameters = new URLSearchParams(location.hash.startsWith("#/") ? location.hash.slice(2) : "");
    parameters.set("in", taskLabel(row));
    parameters.set("under", styleLabel(row));
    parameters.set("id", text(rows.id[row]));
    return `#/${parameters}`;
  };
  const elsewhere = (row) => {
    const others = related(row);
    if (others.length < 2) return null;
    const lines = others.map((other) => {
      const sameTask = rows.task[other] === rows.task[row];
      const name = bdi(sameTask ? styleLabel(other) : `${taskLabel(other)} · ${styleLabel(other)}`);
      const ask = firstAsk(other);
      return element(
        "tr",
        { class: other === row ? "chosen" : "" },
        element(
          "th",
          { scope: "row" },
          thumbnail(ask),
          other === row ? element("span", { "aria-current": "true" }, name) : element("a", { href: link(other) }, name),
        ),
        element("td", {}, bdi(ask < 0 ? "" : marks(ask))),
        ...runs.map((_, run) => element("td", {}, chip(run, other, true))),
      );
    });
    const table = element(
      "table",
      { class: "plain elsewhere" },
      element("caption", { text: "The same sample under other styles and in joint tasks" }),
      head("style", "marks", ...runs.map((run) => run.label)),
      element("tbody", {}, ...lines),
    );
    return scrolled("The same sample elsewhere", table);
  };
  const move = (label, step, key) => {
    const button = element("button", { type: "button", text: label, title: `key ${key}` });
    button.disabled = cursor < 0 || cursor + step < 0 || cursor + step >= found.length;
    button.addEventListener("click", () => {
      choose(cursor + step, true);
      detail.focus({ preventScroll: true });
    });
    return button;
  };
  const drawDetail = () => {
    if (selected < 0) {
      detail.replaceChildren(element("p", { class: "nothing", text: found.length ? "Choose a sample." : "" }));
      return;
    }
    const row = selected;
    const [main, ...others] = asksOf(row);
    const place = cursor < 0 ? "not in the list" : `${counted(cursor + 1)} of ${counted(found.length)}`;
    const back = element("a", { href: "#list", class: "back", text: "Back to the list" });
    back.addEventListener("click", (event) => {
      event.preventDefault();
      list.scrollIntoView({ block: "center" });
      list.focus({ preventScroll: true });
    });
    const body = [
      element(
        "header",
        {},
        element("div", { class: "moves" }, back, element("small", { text: place }), move("‹ Previous", -1, "k"), move("Next ›", 1, "j")),
        element("h3", {}, bdi(text(rows.id[row]))),
        element("p", { class: "where" }, bdi(taskLabel(row)), " · ", bdi(styleLabel(row)), tasks[rows.task[row]].synthetic ? element("span", { class: "mark", text: "synthetic" }) : null),
      ),
    ];
    if (main !== undefined) {
      if (asks.turns[main].length) body.push(element("div", { class: "sample" }, picture(row, main), question(row, main)));
      else if (tasks[rows.task[row]].parts.length) {
        const parts = tasks[rows.task[row]].parts.map((task) => tasks[task].label).join(" and ");
        body.push(
          element("p", { text: `Right if all parts are: ${parts}, listed below.` }),
          element("h4", { text: "Target" }),
          element("p", { class: "target", dir: "auto", text: text(asks.target[main]) }),
        );
      }
    }
    body.push(answerTable(row));
    for (const ask of others) {
      const names = runs.filter((_, run) => askOf(run, row) === ask).map((run) => run.label).join(", ");
      body.push(
        element("h4", { class: "differently", text: `Asked differently of ${names}` }),
        element("div", { class: "sample" }, picture(row, ask), question(row, ask)),
      );
    }
    body.push(elsewhere(row) ?? "");
    if (main !== undefined && asks.tags[main].length) {
      const tags = asks.tags[main].map((tag) => element("li", {}, bdi(text(tag))));
      body.push(element("h4", { text: "Tags" }), element("ul", { class: "tags" }, ...tags));
    }
    detail.replaceChildren(...body);
    detail.scrollTop = 0;
  };

  // --- what the user does

  const choose = (place, isNew) => {
    if (place < 0 || place >= found.length) return;
    cursor = place;
    selected = found[place];
    pinned = true;
    reveal();
    drawList();
    drawDetail();
    remember(isNew);
  };
  const isNarrow = () => window.matchMedia("(max-width: 800px)").matches;
  list.addEventListener("scroll", drawList, { passive: true });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    choose(Number(row.dataset.place), true);
    if (isNarrow()) {
      detail.scrollIntoView();
      detail.focus({ preventScroll: true });
    }
  });
  window.addEventListener("resize", drawList);
  let typed = 0;
  fields.q.addEventListener("input", () => {
    const isNew = !typed;
    clearTimeout(typed);
    typed = setTimeout(() => (typed = 0), 2000);
    filters.q = fields.q.value.trim();
    pinned = false;
    apply();
    remember(isNew);
  });
  for (const name of FILTERS.slice(1)) {
    fields[name].addEventListener("change", () => {
      filters[name] = fields[name].value;
      pinned = false;
      apply();
      remember(true);
    });
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => {
    for (const name of FILTERS) filters[name] = fields[name].value = "";
    pinned = false;
    apply();
    remember(true);
  });
  const inView = () => {
    const box = byId("samples").getBoundingClientRect();
    if (box.bottom < 80 || box.top > window.innerHeight - 200) byId("samples").scrollIntoView();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const { target, key } = event;
    if (target.matches("input:not([type=checkbox]), select, textarea")) {
      if (key === "Escape") {
        list.focus();
        event.preventDefault();
      }
      return;
    }
    const page = Math.max(1, Math.floor(list.clientHeight / ROW_PX) - 1);
    const inList = target === list;
    const steps = inList ? { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page } : {};
    if (byId("shortcuts").checked) Object.assign(steps, { j: 1, k: -1 });
    if (key in steps) {
      inView();
      choose(Math.min(found.length - 1, Math.max(0, cursor + steps[key])), false);
    } else if (inList && key === "Home") choose(0, false);
    else if (inList && key === "End") choose(found.length - 1, false);
    else if (inList && key === "Enter") detail.focus();
    else if (key === "Escape" && detail.contains(target)) list.focus();
    else if (key === "/" && byId("shortcuts").checked) {
      inView();
      fields.q.focus();
      fields.q.select();
    } else return;
    event.preventDefault();
  });
  window.addEventListener("hashchange", () => {
    if (location.hash.startsWith("#/")) {
      restore();
      inView();
    }
  });

  // --- start

  const offer = (select, any, options) => {
    select.append(element("option", { value: "", text: any }));
    for (const [value, words] of options) select.append(element("option", { value, text: words }));
    select.closest("label").hidden = options.length < 2;
  };
  const same = (names) => names.map((name) => [name, name]);
  offer(fields.task, "all", same(tasks.map((task) => task.label)));
  offer(fields.style, "all", same(data.styles));
  offer(fields.shape, "all", same([...data.shapes].sort()));
  offer(fields.color, "all", same([...data.colors].sort()));
  offer(fields.run, "any run", runs.map((run, number) => [String(number + 1), run.label]));
  const seen = new Set(answers.flatMap((each) => [...new Set(each.state)]));
  const states = Object.entries(STATES).filter(([letter]) => letter !== "-" && seen.has(letter));
  offer(fields.state, "any", [
    ...states.map(([, [name, , words]]) => [name, words]),
    ["notright", "anything but right"],
    ["cut", "truncated"],
  ]);
  const pairs = runs.flatMap((one, a) =>
    runs.flatMap((two, b) =>
      a === b || (runs.length > 4 && a && b)
        ? []
        : [[`${a + 1}-${b + 1}`, `right in ${one.label}, not in ${two.label}`]],
    ),
  );
  offer(fields.between, "any", pairs.length ? [["differ", "flips: right in some only"], ...pairs] : []);
  if (location.hash.startsWith("#/")) {
    restore();
    byId("samples").scrollIntoView();
  } else apply();
  document.documentElement.classList.add("ready");
})();
