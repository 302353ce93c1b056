/**
 * Whether the folders built for WeChat and Alipay can be loaded: every page that app.json names has its files, registers
 * itself, and finds its components and icons; the main package stays below 1.5 MiB (the platforms take 2).
 *
 *     node scripts/smoke.mjs dist/build/mp-weixin dist/build/mp-alipay
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'

const LIMIT = 1.5 * 1024 * 1024
let passed = 0
const failures = []

function check(what, holds) {
  if (holds) passed += 1
  else failures.push(what)
}

/** The platform's object: everything can be called and asked, nothing happens; what is put there stays. */
function platform() {
  const nothing = () => undefined
  const device = () => ({ language: 'zh_CN', platform: 'devtools', SDKVersion: '3.0.0', windowWidth: 390, windowHeight: 844, pixelRatio: 2 })
  const known = {
    getSystemInfoSync: device, getAppBaseInfo: device, getDeviceInfo: device, getWindowInfo: device,
    canIUse: () => true, getStorageSync: () => '', getLaunchOptionsSync: () => ({ scene: 1001 }),
  }
  return new Proxy(known, {
    get: (target, key) => {
      if (key in target) return target[key]
      return typeof key === 'symbol' || /^(\$|__|create)/.test(key) ? undefined : nothing
    },
  })
}

function size(folder, without) {
  return readdirSync(folder).reduce((sum, name) => {
    const path = join(folder, name)
    if (without.includes(path)) return sum
    return sum + (statSync(path).isDirectory() ? size(path, without) : statSync(path).size)
  }, 0)
}

function componentFile(root, page, name) {
  if (name.startsWith('plugin://')) return true
  const base = name.startsWith('/') ? join(root, name) : resolve(dirname(join(root, page)), name)
  return existsSync(`${base}.js`) && existsSync(`${base}.json`)
}

for (const folder of process.argv.slice(2)) {
  const root = resolve(folder)
  const template = folder.includes('alipay') ? 'axml' : 'wxml'
  const app = JSON.parse(readFileSync(join(root, 'app.json'), 'utf8'))
  const packages = app.subPackages ?? app.subpackages ?? []
  const pages = [...app.pages, ...packages.flatMap((one) => one.pages.map((page) => join(one.root, page)))]
  let registered = 0
  const register = () => (registered += 1)
  Object.assign(globalThis, {
    wx: platform(), my: platform(), App: register, Page: register, Component: register, Behavior: () => '',
    getApp: () => ({ globalData: {}, $vm: {} }), getCurrentPages: () => [],
  })
  const require = createRequire(join(root, 'app.js'))
  const load = (path) => {
    try {
      require(path)
      return true
    } catch (error) {
      failures.push(`${folder}/${path}: ${error.message}`)
      return false
    }
  }
  check(`${folder}: app.js registers the app`, load('./app.js') && registered > 0)
  for (const page of pages) {
    for (const ending of ['js', 'json', template]) check(`${folder}: ${page}.${ending}`, existsSync(join(root, `${page}.${ending}`)))
    const before = registered
    check(`${folder}: ${page} registers itself`, load(`./${page}.js`) && registered > before)
    const { usingComponents = {} } = JSON.parse(readFileSync(join(root, `${page}.json`), 'utf8'))
    for (const [name, path] of Object.entries(usingComponents)) {
      check(`${folder}: ${page} finds ${name}`, componentFile(root, page, path))
    }
  }
  for (const tab of app.tabBar.list ?? app.tabBar.items) {
    check(`${folder}: icons of ${tab.pagePath}`, ['iconPath', 'selectedIconPath', 'icon', 'activeIcon'].filter((key) => tab[key]).every((key) => existsSync(join(root, tab[key]))))
  }
  const main = size(root, packages.map((one) => join(root, one.root)))
  check(`${folder}: main package ${main} bytes`, main < LIMIT)
}

failures.forEach((failure) => console.error(failure))
console.log(`${passed} passed, ${failures.length} failed`)
process.exit(failures.length ? 1 : 0)
