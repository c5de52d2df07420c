// The button that prints: without this script there is none, and the browser's own menu prints as well.

const button = document.getElementById("print");
button.hidden = false;
button.addEventListener("click", () => window.print());
