import { describe, expect, it, vi } from 'vitest'
import { address, newKey, problem } from '@/api/client'
import { contrast, readable, soft } from '@/utils/colour'
import { distance, energy, maskedPhone, minutesBetween, moment, money, price, total } from '@/utils/format'
import { parseGun } from '@/utils/gun'
import { isPlate, isVin, shownPlate, tidy } from '@/utils/plate'

describe('the number of a gun', () => {
  it.each([
    ['3201060000000101', '3201060000000101'],
    [' 3201 0600 0000 0101 ', '3201060000000101'],
    ['32010600000001-01', '3201060000000101'],
    ['https://example.test/h5/#/pages/charge/start?gun=3201060000000101', '3201060000000101'],
    ['https://example.test/g/3201060000000101', '3201060000000101'],
    ['http://example.test/g/3201060000000101/', '3201060000000101'],
  ])('is found in %s', (text, code) => expect(parseGun(text)).toBe(code))

  it.each([
    '', '320106000000010', '32010600000001011', 'gun', 'https://example.test/', 'https://example.test/?gun=32010600000001',
    'javascript:alert(1)//3201060000000101', 'https://example.test/?x=93201060000000101', '3'.repeat(600),
  ])('is not found in %s', (text) => expect(parseGun(text)).toBeNull())
})

describe('figures', () => {
  it('shows money with two decimals and never calculates', () => {
    expect(money('3.5')).toBe('3.50')
    expect(money('1234567890123456.78')).toBe('1234567890123456.78')
    expect(money('-0.05')).toBe('-0.05')
    expect(money(null)).toBe('–')
  })
  it('adds amounts in whole fen', () => {
    expect(total(['0.1', '0.2', '12.05'])).toBe('12.35')
    expect(total([])).toBe('0.00')
    expect(total(['90071992547409.93', '0.01'])).toBe('90071992547409.94')
  })
  it('shows a price with all that counts', () => {
    expect(price('1.20000')).toBe('1.20')
    expect(price('1.05230')).toBe('1.0523')
    expect(price('1')).toBe('1.00')
  })
  it('shows energy, distance, phone', () => {
    expect(energy('12.3400')).toBe('12.34')
    expect(energy('10')).toBe('10')
    expect(energy(null)).toBe('0')
    expect(distance(83)).toBe('80 m')
    expect(distance(949)).toBe('950 m')
    expect(distance(2249)).toBe('2.2 km')
    expect(maskedPhone('+8613800000001')).toBe('138****0001')
  })
  it('shows times of the business, whatever the clock of the phone says', () => {
    expect(moment('2026-11-28T23:30:00Z', true)).toBe('2026-11-29 07:30')
    expect(moment('2026-11-29T07:30:00+08:00')).toBe('11-29 07:30')
    expect(minutesBetween('2026-11-29T07:30:00+08:00', '2026-11-28T23:45:29Z')).toBe(15)
    expect(minutesBetween(null, '2026-11-28T23:45:00Z')).toBe(0)
  })
})

describe('a call', () => {
  it('fills paths and leaves out what is not given', () => {
    expect(address('/api/v1/orders/{order_no}', { order_no: 'a/b' }, { cursor: undefined, state: '', limit: 5 })).toBe(
      '/api/v1/orders/a%2Fb?limit=5',
    )
  })
  it('reads the one shape of errors, and whatever else comes', () => {
    expect(problem(409, { code: 'wallet.debt', message: 'pay first', data: { amount: '1.00' } })).toMatchObject({
      code: 'wallet.debt', message: 'pay first', status: 409, data: { amount: '1.00' }, mayPass: false,
    })
    expect(problem(502, '<html>')).toMatchObject({ code: 'unknown', message: '', mayPass: true })
  })
  it('has a key of its own each time', () => {
    const keys = new Set(Array.from({ length: 200 }, newKey))
    expect(keys.size).toBe(200)
    expect([...keys].every((key) => /^[0-9a-f]{32}$/.test(key))).toBe(true)
  })
})

describe('plates and vehicle numbers', () => {
  it.each(['沪A12345', '沪A·12345', '沪 ad12345', '沪AD12345', '粤Z1234港'])('takes %s', (text) => expect(isPlate(text)).toBe(true))
  it.each(['', 'A12345', '沪A1234', '沪A1234567', '沪112345', '沪A12 34!'])('refuses %s', (text) => expect(isPlate(text)).toBe(false))
  it('takes 17 characters without I, O and Q', () => {
    expect(isVin('lsvau2180n2183294')).toBe(true)
    expect(isVin('LSVAU2180N218329')).toBe(false)
    expect(isVin('LSVAU2180N218329O')).toBe(false)
  })
  it('shows a plate as it stands on the car', () => {
    expect(shownPlate(tidy('沪a 12345'))).toBe('沪A·12345')
    expect(shownPlate('')).toBe('')
  })
})

describe("the operator's colour", () => {
  it.each(['#0e9f6e', '#ffffff', '#ffd400', '#1d4ed8', '#000000', 'red'])('can be read: %s', (colour) => {
    const brand = readable(colour)
    expect(brand).toMatch(/^#[0-9a-f]{6}$/)
    expect(contrast(brand, '#ffffff')).toBeGreaterThanOrEqual(4.5)
    expect(contrast(brand, soft(brand))).toBeGreaterThanOrEqual(4.5)
  })
  it('stays as it is where it is dark enough', () => {
    expect(readable('#1d4ed8')).toBe('#1d4ed8')
    expect(readable('#0a7d50')).toBe(readable(readable('#0a7d50')))
  })
})

describe('a text of the server', () => {
  it('has whole addresses of its pictures, and nothing else changes', async () => {
    vi.stubEnv('VITE_API_BASE', 'https://api.example.test/')
    vi.resetModules()
    const { withPictures } = await import('@/api/base')
    expect(withPictures('<p>a<img src="/files/1/?s=2" alt="b" style="max-width:100%"></p><a href="/files/1/">src="/x"</a>')).toBe(
      '<p>a<img src="https://api.example.test/files/1/?s=2" alt="b" style="max-width:100%"></p><a href="/files/1/">src="/x"</a>',
    )
    expect(withPictures('<p>a</p>')).toBe('<p>a</p>')
    vi.unstubAllEnvs()
  })
})
