// Pictures in a text: uploaded at once, then shown by their address. The editor (Trix) has elements of its own for
// them, with a caption; what is stored and sent is <img src alt>, so both ways are translated here.
(function () {
  const words = (editor) => JSON.parse(editor.dataset.pictures);
  const parse = (html) => new DOMParser().parseFromString(html, "text/html").body; // loads nothing

  function forEditor(html) {
    const body = parse(html);
    for (const img of body.querySelectorAll("img")) {
      const figure = body.ownerDocument.createElement("figure");
      const shown = { contentType: "image", url: img.getAttribute("src") };
      figure.setAttribute("data-trix-attachment", JSON.stringify(shown));
      figure.setAttribute("data-trix-attributes", JSON.stringify({ caption: img.getAttribute("alt") || "" }));
      img.replaceWith(figure);
    }
    return body.innerHTML;
  }

  function forServer(html) {
    const body = parse(html);
    for (const figure of body.querySelectorAll("[data-trix-attachment]")) {
      const img = body.ownerDocument.createElement("img");
      img.setAttribute("src", ownPath(JSON.parse(figure.dataset.trixAttachment).url));
      img.setAttribute("alt", JSON.parse(figure.dataset.trixAttributes || "{}").caption || "");
      figure.replaceWith(img);
    }
    return body.innerHTML;
  }

  function ownPath(address) {
    const url = new URL(address || "", location.href);
    return url.origin === location.origin && /^\/files\/[0-9a-f-]{36}\/$/.test(url.pathname) ? url.pathname : "";
  }

  function tell(editor, text) {
    editor.closest("div").querySelector("[data-told]").textContent = text;
  }

  function upload(editor, attachment) {
    const request = new XMLHttpRequest();
    const form = new FormData();
    const failed = () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // no answer, or none of ours
      }
      attachment.remove();
      tell(editor, answer.error || words(editor).failed);
    };
    form.append("file", attachment.file);
    request.open("POST", words(editor).address);
    request.setRequestHeader("X-CSRFToken", editor.closest("form").elements.csrfmiddlewaretoken.value);
    request.upload.addEventListener("progress", (event) => attachment.setUploadProgress((event.loaded / event.total) * 100));
    request.addEventListener("load", () => {
      if (request.status !== 201) return failed();
      attachment.setAttributes({ url: JSON.parse(request.responseText).address });
    });
    request.addEventListener("error", failed);
    request.addEventListener("loadend", () => (editor.uploads -= 1));
    editor.uploads += 1;
    request.send(form);
  }

  function addButton(editor) {
    const group = editor.toolbarElement.querySelector("[data-trix-button-group]").cloneNode(false);
    const button = editor.toolbarElement.querySelector("button").cloneNode(false);
    for (const name of ["data-trix-attribute", "data-trix-key", "tabindex"]) button.removeAttribute(name);
    group.dataset.trixButtonGroup = "pictures";
    button.title = words(editor).insert;
    button.innerHTML = '<span class="material-symbols-outlined" aria-hidden="true">image</span>';
    const input = document.createElement("input");
    input.type = "file";
    input.hidden = true;
    input.multiple = true;
    input.hasChangeListener = true; // the theme would look for the text field of its own file fields, and fail
    input.accept = words(editor).types.join(",");
    input.setAttribute("aria-label", words(editor).insert);
    input.addEventListener("change", () => {
      editor.editor.insertFiles([...input.files]);
      input.value = "";
    });
    button.addEventListener("click", () => input.click());
    group.append(button, input);
    editor.toolbarElement.querySelector("[data-trix-button-group='block-tools']").after(group);
  }

  document.addEventListener("trix-before-initialize", ({ target }) => {
    Object.assign(Trix.config.lang, { captionPlaceholder: words(target).caption, remove: words(target).remove });
    Trix.config.attachments.preview.caption = { name: false, size: false };
    target.inputElement.value = forEditor(target.inputElement.value);
    target.uploads = 0;
    const told = document.createElement("p");
    told.className = "bo-error";
    told.dataset.told = "";
    told.setAttribute("role", "alert");
    target.after(told);
    const form = target.closest("form");
    form.addEventListener("submit", (event) => {
      if (!target.uploads) return;
      event.preventDefault();
      tell(target, words(target).waiting);
    });
    form.addEventListener("formdata", (event) => {
      event.formData.set(target.inputElement.name, forServer(target.inputElement.value));
    });
  });
  document.addEventListener("trix-initialize", ({ target }) => addButton(target));

  document.addEventListener("trix-file-accept", (event) => {
    const { target, file } = event;
    tell(target, "");
    if (words(target).types.includes(file.type) && file.size <= words(target).most) return;
    event.preventDefault();
    tell(target, words(target).refused);
  });

  document.addEventListener("trix-attachment-add", ({ target, attachment }) => {
    if (attachment.file) return upload(target, attachment);
    if (ownPath(attachment.getAttribute("url"))) return;
    setTimeout(() => attachment.remove()); // it is being pasted
    tell(target, words(target).foreign);
  });
})();
