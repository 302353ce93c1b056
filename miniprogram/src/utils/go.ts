/** To another page; a template knows no globals. */
export function go(url: string): void {
  uni.navigateTo({ url })
}

export function goTab(url: string): void {
  uni.switchTab({ url })
}
