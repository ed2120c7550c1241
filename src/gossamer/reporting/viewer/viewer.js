// The molecule and its kept pairs in 3D, from the record in this page.  Without WebGL the flat picture stays.
"use strict";
(function () {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const LEVELS = 7, SIDES = 7, FAR = 5;
  const live = document.querySelector(".live");
  let record = JSON.parse(document.getElementById("record").textContent);
  unpack().then(begin, fallBack);

  // Pairs stand in the page as compressed columns (html.packed).
  async function unpack() {
    if (!record.pairs || !record.pairs.zlib) return;
    const bytes = Uint8Array.from(atob(record.pairs.zlib), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const columns = JSON.parse(await new Response(stream).text());
    const names = Object.keys(columns);
    record.pairs = columns.i.map((_, k) => Object.fromEntries(names.map((name) => [name, columns[name][k]])));
  }

  function begin() {
    offerDownload();
    if (live && record.geometry && webgl()) {
      try { start(); live.dataset.state = "ready"; } catch (error) { fallBack(error); }
    }
  }

  function offerDownload() {
    const link = document.getElementById("download");
    if (!link) return;
    link.href = URL.createObjectURL(new Blob([JSON.stringify(record)], { type: "application/json" }));
    link.hidden = false;
  }

  function webgl() {
    const canvas = document.createElement("canvas");
    try { return canvas.getContext("webgl2") || canvas.getContext("webgl"); } catch { return null; }
  }

  function fallBack(error) {
    if (!live) return;
    live.hidden = true;
    live.dataset.state = "failed: " + error.message;
    document.querySelector(".flat").hidden = false;
  }

  function start() {
    const { symbols, bonds = [] } = record.geometry;
    const kept = (record.pairs || []).filter((pair) => pair.kept).sort((a, b) => (b.score || 0) - (a.score || 0));
    const locals = kept.filter((pair) => pair.local); // fixed: local terms see them
    const pairs = kept.filter((pair) => !pair.local);
    const levels = pairLevels(pairs);
    const errors = (record.per_atom || {}).force_mae;
    const control = (name) => live.querySelector(`[name=${name}]`);
    const count = control("count") ? Number(control("count").value) : 0;
    const state = { count, near: true, far: true, inside: true, across: true, local: true, colour: "element", atom: null };
    const places = molecules();
    const stage = live.querySelector(".stage");
    const positions = JSON.parse(stage.dataset.positions); // turned as in the flat picture: longest axis level

    document.querySelector(".flat").hidden = true;
    live.hidden = false;
    const viewer = $3Dmol.createViewer(stage, { antialias: true });
    const model = viewer.addModel();
    model.addAtoms(symbols.map((elem, k) => atom(elem, k)));
    let shapes = [], drawn = 0;

    paint();
    fit();
    viewer.render();
    const home = viewer.getView();
    listen();

    function atom(elem, index) {
      const [x, y, z] = positions[index];
      const partners = bonds.flatMap(([i, j]) => (i === index ? [j] : j === index ? [i] : []));
      return { elem, x, y, z, serial: index, bonds: partners, bondOrder: partners.map(() => 1) };
    }

    // For every atom the number of its molecule.
    function molecules() {
      const found = symbols.map((_, k) => k);
      const root = (a) => { while (found[a] !== a) a = found[a]; return a; };
      bonds.forEach(([i, j]) => { found[root(i)] = root(j); });
      return found.map((_, k) => root(k));
    }

    // Fills the stage: zoomTo fits a ball around the molecule (of 5 A at least), which wastes the sides.
    function fit() {
      viewer.zoomTo({ serial: symbols.map((_, k) => k) });
      const size = (k) => Math.max(...positions.map((p) => p[k])) - Math.min(...positions.map((p) => p[k])) + 2;
      const ball = 2 * Math.max(5, ...positions.map((p) => Math.hypot(...p)));
      viewer.setSlab(-ball / 2 - 2, ball / 2 + 2);
      viewer.zoom(ball / Math.max(size(0) * stage.clientHeight / stage.clientWidth, size(1)) / (1 + size(2) / 150)); // what is near looks larger
    }

    function paint() {
      viewer.setBackgroundColor(css("surface"), 1);
      const byElement = (a) => css(atomRole(a.elem));
      const low = errors ? Math.min(...errors) : 0, high = errors ? Math.max(...errors) : 1;
      const byError = (a) => css("heat-" + level(errors[a.serial], low, high));
      const colorfunc = state.colour === "error" ? byError : byElement;
      const size = state.colour === "error" ? 1.25 : 1;
      const ball = (stick, sphere) => ({ stick: { radius: stick, colorfunc }, sphere: { scale: sphere * size, colorfunc } });
      model.setStyle({}, ball(0.09, 0.18));
      model.setStyle({ elem: "H" }, ball(0.07, 0.2));
      if (state.atom !== null) model.setStyle({ serial: state.atom }, ball(0.09, 0.3));
      model.setClickable({}, true, (a) => { state.atom = state.atom === a.serial ? null : a.serial; refresh(); });
      drawPairs();
    }

    function drawPairs() {
      shapes.forEach((shape) => viewer.removeShape(shape));
      const here = (pair) => state.atom === null || pair.i === state.atom || pair.j === state.atom;
      const wanted = (pair) => (pair.distance < FAR ? state.near : state.far)
        && (places[pair.i] === places[pair.j] ? state.inside : state.across);
      const chosen = pairs.filter((pair) => wanted(pair) && here(pair));
      const shown = chosen.slice(0, state.count); // the strongest of those asked for
      const fixed = state.local ? locals.filter(here) : [];
      const crowd = Math.min(1, Math.sqrt(500 / Math.max(shown.length, 1)));
      const meshes = Array.from({ length: LEVELS }, () => ({ vertexArr: [], normalArr: [], faceArr: [] }));
      const sides = shown.length > 1000 ? 4 : SIDES; // of many thin tubes nobody sees the corners
      shown.forEach((pair) => {
        const strength = levels.get(pair);
        tube(meshes[strength], positions[pair.i], positions[pair.j], (0.012 + 0.009 * strength) * (0.4 + 0.6 * crowd), sides);
      });
      const thin = { vertexArr: [], normalArr: [], faceArr: [] };
      fixed.forEach((pair) => tube(thin, positions[pair.i], positions[pair.j], 0.016, sides));
      const coloured = [...meshes.map((mesh, strength) => [mesh, "heat-" + strength]), [thin, "local"]];
      shapes = coloured.filter(([mesh]) => mesh.faceArr.length)
        .map(([mesh, role]) => viewer.addCustom({ ...mesh, color: bright(css(role)) }));
      drawn = shown.length;
      report(shown, fixed);
    }

    function report(shown, fixed) {
      const readout = live.querySelector(".readout");
      const near = shown.filter((pair) => pair.distance < FAR).length;
      const name = (k) => symbols[k] + k;
      let text = "";
      const kind = locals.length ? "kept non-local pairs" : "kept pairs";
      if (pairs.length) text = `${drawn} of ${pairs.length} ${kind} shown: ${near} shorter and ${drawn - near} longer than ${FAR} Å. `;
      if (locals.length) text += `${fixed.length} of ${locals.length} local pairs shown.`;
      if (state.atom !== null) {
        const error = errors ? `, force MAE ${(errors[state.atom] * 1000).toPrecision(3)} meV/Å` : "";
        text = `Atom ${name(state.atom)}${error}. ${kept.length ? "Only its pairs: " + text : ""} Click it again for all.`;
      }
      readout.textContent = text;
      if (control("count")) live.querySelector("output").value = state.count;
    }

    function refresh() { paint(); viewer.render(); }

    function listen() {
      let waiting = false;
      const on = (name, event, change) => control(name) && control(name).addEventListener(event, (e) => {
        change(e.target);
        if (waiting) return;
        waiting = true;
        requestAnimationFrame(() => { waiting = false; refresh(); });
      });
      on("count", "input", (input) => { state.count = Number(input.value); });
      on("near", "change", (input) => { state.near = input.checked; });
      on("far", "change", (input) => { state.far = input.checked; });
      on("inside", "change", (input) => { state.inside = input.checked; });
      on("across", "change", (input) => { state.across = input.checked; });
      on("local", "change", (input) => { state.local = input.checked; });
      on("colour", "change", (input) => { state.colour = input.value; });
      on("reset", "click", () => { state.atom = null; viewer.setView(home); });
      dark.addEventListener("change", refresh);
      guardScrolling(stage);
    }
  }

  // The page keeps the wheel and one-finger scrolling until the picture has been clicked or tapped.
  function guardScrolling(stage) {
    const hint = stage.parentElement.querySelector(".hint");
    let active = false;
    const set = (value) => { active = value; hint.hidden = value; stage.style.touchAction = value ? "none" : "pan-y"; };
    set(false);
    ["wheel", "touchstart", "touchmove"].forEach((type) => stage.addEventListener(type, (event) => {
      if (!active && !event.ctrlKey) event.stopPropagation();
    }, { capture: true, passive: true }));
    stage.addEventListener("click", () => set(true));
    document.addEventListener("pointerdown", (event) => { if (!stage.contains(event.target)) set(false); });
  }

  function css(role) { return getComputedStyle(document.documentElement).getPropertyValue("--" + role).trim(); }

  function atomRole(symbol) {
    if (css("atom-" + symbol)) return "atom-" + symbol;
    return ["F", "Cl", "Br", "I"].includes(symbol) ? "atom-halogen" : "atom-other";
  }

  function level(value, low, high) {
    if (!(high > low)) return LEVELS >> 1;
    return Math.max(0, Math.min(LEVELS - 1, Math.floor((value - low) / (high - low) * LEVELS)));
  }

  // As molecule.pair_levels: logarithmic between the weakest and the strongest positive score.
  function pairLevels(pairs) {
    const positive = pairs.map((pair) => pair.score).filter((score) => score > 0);
    const low = Math.min(...positive), high = Math.max(...positive);
    const of = (score) => level(Math.log(Math.max(score || 0, low)), Math.log(low), Math.log(high));
    return new Map(pairs.map((pair) => [pair, of(pair.score)]));
  }

  // Adds a tube from a to b to a mesh of triangles.
  function tube(mesh, a, b, radius, sides) {
    const axis = b.map((value, k) => value - a[k]);
    const length = Math.hypot(...axis) || 1;
    const w = axis.map((value) => value / length);
    const helper = Math.abs(w[0]) < 0.8 ? [1, 0, 0] : [0, 1, 0];
    const u = unit(cross(w, helper)), v = cross(w, u);
    const first = mesh.vertexArr.length;
    for (let side = 0; side < sides; side++) {
      const angle = 2 * Math.PI * side / sides;
      const n = u.map((value, k) => Math.cos(angle) * value + Math.sin(angle) * v[k]);
      for (const end of [a, b]) {
        mesh.vertexArr.push({ x: end[0] + radius * n[0], y: end[1] + radius * n[1], z: end[2] + radius * n[2] });
        mesh.normalArr.push({ x: n[0], y: n[1], z: n[2] });
      }
      const here = first + 2 * side, next = first + 2 * ((side + 1) % sides);
      mesh.faceArr.push(here, next, here + 1, here + 1, next, next + 1);
    }
  }

  // A colour that a lit tube shows as `hex` on average: its sides are darker than its middle.
  function bright(hex) {
    const colour = new $3Dmol.Color(parseInt(hex.slice(1), 16));
    return Object.assign(colour, { r: 1.3 * colour.r, g: 1.3 * colour.g, b: 1.3 * colour.b });
  }

  function cross(a, b) { return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]; }
  function unit(a) { const length = Math.hypot(...a) || 1; return a.map((value) => value / length); }
})();
