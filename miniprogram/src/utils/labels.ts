/**
 * What screen readers and keyboards miss on H5: the framework keeps a field's label on the element around the browser's
 * own input; its buttons do not say what they are, nor that they cannot be pressed; what is pressed takes no focus.
 */
const PRESSED = ['button', 'link', 'radio', 'checkbox', 'switch'].map((role) => `[role=${role}]`).join()

export function labelFields(): void {
  // #ifdef H5
  const set = (element: Element, name: string, value: string) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value)
  }
  const label = () => {
    document.querySelectorAll('uni-input[aria-label], uni-textarea[aria-label]').forEach((around) => {
      const field = around.querySelector('input, textarea')
      if (field) set(field, 'aria-label', around.getAttribute('aria-label') ?? '')
    })
    document.querySelectorAll('uni-button').forEach((button) => {
      set(button, 'role', 'button')
      set(button, 'aria-disabled', String(button.classList.contains('is-disabled')))
    })
    document.querySelectorAll(PRESSED).forEach((one) => set(one, 'tabindex', '0'))
  }
  const what = { childList: true, subtree: true, attributeFilter: ['aria-label', 'class'] }
  new MutationObserver(label).observe(document.body, what)
  label()
  document.addEventListener('keydown', (event) => {
    const at = event.target as HTMLElement
    if (!['Enter', ' '].includes(event.key) || !at.matches(PRESSED)) return
    event.preventDefault()
    at.click()
  })
  // #endif
}
