// Looks for new requests to pay. Reloads the page for them, unless somebody is typing: then it shows a link.
const { phoneNumber, waiting } = document.body.dataset;

async function look() {
  const answer = await fetch(`/phone/prompts?phone_number=${encodeURIComponent(phoneNumber)}`);
  if (!answer.ok) return;
  const { prompts } = await answer.json();
  if (prompts.map((prompt) => prompt.checkout_request_id).join(" ") === waiting) return;
  const typed = [...document.querySelectorAll("input")].some((input) => input.value !== input.defaultValue);
  if (typed) document.getElementById("arrived").hidden = false;
  else location.assign(`/phone?phone_number=${encodeURIComponent(phoneNumber)}`);
}

setInterval(() => document.hidden || look().catch(() => {}), 2000);
