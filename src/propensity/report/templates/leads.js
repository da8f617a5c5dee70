// The parts of the review, search and filters over its leads, and the keys.

const page = JSON.parse(document.getElementById("page").textContent);
const find = (id) => document.getElementById(id);
const cards = page.cards.map((about) => ({ ...about, node: find(`lead-${about.index}`) }));
const views = [...document.querySelectorAll(".view")];
let current = null;

function showView(view) {
  for (const other of views) other.classList.toggle("off", other !== view);
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.hash === `#${view.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function followLink() {
  const target = find(location.hash.slice(1));
  const view = target?.closest(".view");
  if (!view) {
    if (!location.hash) showView(views[0]);
    return;
  }
  const opened = !view.classList.contains("off");
  showView(view);
  const card = cards.find((c) => c.node === target);
  if (card?.node.hidden) clearFilters();
  if (card) setCurrent(card);
  if (target !== view) bringUp(target);
  else if (!opened) scrollTo({ top: 0, behavior: "instant" });
}

// A lead's text is what its card shows, put together when it is first asked for.
function textOf(card) {
  card.text ??= [...card.node.children]
    .filter((part) => !part.matches(".verdict"))
    .map((part) => part.textContent)
    .join(" ")
    .replace(/\s+/g, " ")
    .toLowerCase();
  return card.text;
}

const filters = [...document.querySelectorAll("[data-filter]")];

function matches(card, words) {
  const chosen = (f) => f.value === "" || [card[f.dataset.filter] ?? ""].flat().includes(f.value);
  return filters.every(chosen) && words.every((word) => textOf(card).includes(word));
}

function filterCards() {
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of cards) card.node.hidden = !matches(card, words);
  const shown = cards.filter((card) => !card.node.hidden).length;
  find("shown").textContent = `${shown} of ${cards.length} leads`;
}

function clearFilters() {
  find("search").value = "";
  for (const filter of filters) filter.value = "";
  filterCards();
}

function setCurrent(card) {
  current?.node.classList.remove("current");
  current = card;
  card.node.classList.add("current");
}

function goTo(card) {
  showView(find("leads"));
  setCurrent(card);
  card.node.focus({ preventScroll: true });
  bringUp(card.node);
}

// The tools stand at the top of the window, over what comes up there.
function bringUp(node) {
  document.documentElement.style.setProperty("--tools", `${find("tools")?.offsetHeight ?? 0}px`);
  node.scrollIntoView({ block: "start", behavior: "instant" });
}

function step(by) {
  const shown = cards.filter((card) => !card.node.hidden);
  const from = current ? current.index : by > 0 ? -Infinity : Infinity;
  const next = by > 0 ? shown.find((c) => c.index > from) : shown.findLast((c) => c.index < from);
  if (next) goTo(next);
}

function onCurrent(act) {
  if (current && !current.node.hidden) {
    goTo(current);
    act(current);
  } else say("Choose a lead first, with j or a click.");
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  a: () => onCurrent((card) => giveVerdict(card, "agree")),
  d: () => onCurrent((card) => giveVerdict(card, "disagree")),
  n: () => onCurrent((card) => card.node.querySelector("textarea").focus()),
  "/": () => {
    showView(find("leads"));
    find("search").focus();
  },
  "?": () => find("help").showModal(),
};

function isTyping(node) {
  return node.matches("textarea, select, input:not([type=radio], [type=checkbox], [type=range], [type=file])");
}

function followKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || find("help").open) return;
  if (event.key === "Escape" && isTyping(event.target)) event.target.blur();
  const act = Object.hasOwn(KEYS, event.key) && KEYS[event.key];
  if (!act || !find("keys").checked || isTyping(event.target)) return;
  event.preventDefault();
  act();
}

function startLeads() {
  for (const filter of filters) filter.addEventListener("change", filterCards);
  find("search").addEventListener("input", filterCards);
  const choose = (event) => {
    const card = cards.find((c) => c.node === event.target.closest(".card"));
    if (card) setCurrent(card);
  };
  find("cards").addEventListener("focusin", choose);
  find("cards").addEventListener("pointerdown", choose);
  find("ask").addEventListener("click", () => find("help").showModal());
  find("close-help").addEventListener("click", () => find("help").close());
  document.addEventListener("keydown", followKey);
  find("tools").hidden = false;
  filterCards();
}
