import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import en from '@/locale/en.json'
import zh from '@/locale/zh-Hans.json'

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return name === 'locale' || name === 'static' ? [] : sources(path)
    return /\.(vue|ts|json)$/.test(name) && name !== 'schema.d.ts' ? [path] : []
  })
}

const text = sources('src').map((path) => readFileSync(path, 'utf8')).join('\n')

it('has both languages complete', () => {
  expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort())
  expect(Object.values({ ...en, ...zh }).every((value) => value.trim())).toBe(true)
})

it('knows every text that a page names', () => {
  const named = [...text.matchAll(/(?:\bt\(|\$t\(|%)'?([a-z_]+\.[a-z_]+)['%]/g)].map((match) => match[1])
  expect(named.length).toBeGreaterThan(50)
  expect(named.filter((key) => !(key in zh))).toEqual([])
})

it('has no Chinese outside of the catalogue', () => {
  const stray = sources('src').filter(
    (path) => !/manifest\.json$|settings\.vue$/.test(path) && /[一-龥]/.test(readFileSync(path, 'utf8')),
  )
  expect(stray).toEqual([])
})
