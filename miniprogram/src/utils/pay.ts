/** Hand a payment to the platform's cashier. True: the window ended as paid, the server has the last word. */
export function pay(channel: string, payment: Record<string, unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const provider = channel === 'alipay' ? 'alipay' : 'wxpay'
    uni.requestPayment({
      provider,
      ...(payment as unknown as { timeStamp: string; nonceStr: string; package: string; signType: string; paySign: string; orderInfo: string }),
      success: () => resolve(true),
      fail: () => resolve(false),
    })
  })
}
