// A file that is too large is refused before it travels, and one that does not get through is said.

const LARGEST = 5 * 1024 * 1024 - 4096;

document.addEventListener("change", (event) => {
  if (event.target.id !== "file-file") return;
  const [file] = event.target.files;
  event.target.setCustomValidity(file && file.size > LARGEST ? "The file is too large: at most 5 MiB." : "");
  event.target.reportValidity();
});

for (const name of ["htmx:responseError", "htmx:sendError"]) {
  document.body.addEventListener(name, (event) => {
    const said = document.getElementById("upload-failed");
    if (said && event.detail.elt.closest("form[hx-encoding]")) said.hidden = false;
  });
}
