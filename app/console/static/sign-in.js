// A link with a token after `#` signs in by itself: what stands there is sent to no server but in the form.

const token = new URLSearchParams(location.hash.slice(1)).get('token');
if (token) {
  history.replaceState(null, '', location.pathname);
  const form = document.getElementById('sign-in');
  form.elements.key.value = token;
  form.submit();
}
