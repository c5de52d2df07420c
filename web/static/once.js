// What is shown once can be printed or copied. Listens on the document: the page's content comes and goes by htmx.

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-print], [data-copy]");
  if (!button) return;
  if ("print" in button.dataset) window.print();
  else copy(button, document.getElementById(button.dataset.copy));
});

async function copy(button, from) {
  try {
    await navigator.clipboard.writeText(from.textContent);
    button.lastChild.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(from); // the browser does not allow it: Ctrl+C does
  }
}
