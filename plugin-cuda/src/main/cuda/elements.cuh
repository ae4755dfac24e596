// Element types and vectors of eight of them. Everything is computed in float; bf16 and f16 are only stored.
#pragma once
#include "platform.cuh"

namespace lorikeet {

struct bf16 {
  unsigned short bits;
};
struct f16 {
  unsigned short bits;
};

// The numbers of dev.lorikeet.tensor.ElementType.
enum ElementType : int { F32 = 0, BF16 = 1, F16 = 2 };

__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ float widen(bf16 value) { return bitsToFloat(static_cast<unsigned>(value.bits) << 16); }
__device__ __forceinline__ float widen(f16 value) { return halfToFloat(value.bits); }

template <typename T>
__device__ __forceinline__ T narrow(float value);
template <>
__device__ __forceinline__ float narrow<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ bf16 narrow<bf16>(float value) {
  return {floatToBfloat(value)};
}
template <>
__device__ __forceinline__ f16 narrow<f16>(float value) {
  return {floatToHalf(value)};
}

// Eight consecutive elements as they lie in memory: 16 bytes, or 32 of float. Kept raw so that many loads can be in flight.
template <typename T>
struct Eight {
  static constexpr int WORDS = sizeof(T) * 2;
  unsigned words[WORDS];

  __device__ __forceinline__ float get(int i) const;
};
template <>
__device__ __forceinline__ float Eight<float>::get(int i) const {
  return bitsToFloat(words[i]);
}
template <>
__device__ __forceinline__ float Eight<bf16>::get(int i) const {
  return bitsToFloat(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xffff0000u);
}
template <>
__device__ __forceinline__ float Eight<f16>::get(int i) const {
  return halfToFloat(static_cast<unsigned short>(i % 2 == 0 ? words[i / 2] : words[i / 2] >> 16));
}

template <typename T>
__device__ __forceinline__ Eight<T> zeroEight() {
  Eight<T> result;
#pragma unroll
  for (int i = 0; i < Eight<T>::WORDS; i++) result.words[i] = 0;
  return result;
}

template <typename T>
__device__ __forceinline__ void clearUnless(bool keep, Eight<T>& eight) {
#pragma unroll
  for (int i = 0; i < Eight<T>::WORDS; i++) eight.words[i] = keep ? eight.words[i] : 0;
}

// What is known of memory: no kernel in flight writes it; that, and it is read once; or it may just have been written.
enum class Memory { READ_ONLY, READ_ONCE, FRESH };

__device__ __forceinline__ uint4 loadQuad(const uint4* address, Memory memory) {
  switch (memory) {
    case Memory::READ_ONLY:
      return loadReadOnly(address);
    case Memory::READ_ONCE:
      return loadOnce(address);
    default:
      return loadFresh(address);
  }
}

// Loads eight elements at an address aligned to 16 bytes.
template <typename T, Memory MEMORY>
__device__ __forceinline__ Eight<T> loadEight(const void* address) {
  Eight<T> result;
#pragma unroll
  for (int i = 0; i < Eight<T>::WORDS / 4; i++) {
    const uint4 quad = loadQuad(static_cast<const uint4*>(address) + i, MEMORY);
    result.words[4 * i] = quad.x;
    result.words[4 * i + 1] = quad.y;
    result.words[4 * i + 2] = quad.z;
    result.words[4 * i + 3] = quad.w;
  }
  return result;
}

__device__ __forceinline__ void setWord(Eight<float>& eight, int i, float value) { eight.words[i] = floatToBits(value); }
template <typename T>
__device__ __forceinline__ void setWord(Eight<T>& eight, int i, T value) {
  const unsigned bits = value.bits;
  eight.words[i / 2] |= i % 2 == 0 ? bits : bits << 16;
}

// Loads elements [k, k + 8) of a row of `length` elements, zeros beyond its end; `aligned` says that 16-byte loads are allowed.
template <typename T>
__device__ __forceinline__ Eight<T> loadRow(const T* row, int k, int length, bool aligned) {
  if (aligned && k + 8 <= length) return loadEight<T, Memory::FRESH>(row + k);
  Eight<T> result = zeroEight<T>();
#pragma unroll
  for (int i = 0; i < 8; i++) {
    if (k + i < length) setWord(result, i, row[k + i]);
  }
  return result;
}

__device__ __forceinline__ void getElement(const Eight<float>& eight, int i, float& value) { value = bitsToFloat(eight.words[i]); }
template <typename T>
__device__ __forceinline__ void getElement(const Eight<T>& eight, int i, T& value) {
  value.bits = static_cast<unsigned short>(i % 2 == 0 ? eight.words[i / 2] : eight.words[i / 2] >> 16);
}

// Stores eight elements at an address aligned to 16 bytes.
template <typename T>
__device__ __forceinline__ void storeEight(T* to, const Eight<T>& eight) {
  uint4* address = reinterpret_cast<uint4*>(to);
#pragma unroll
  for (int i = 0; i < Eight<T>::WORDS / 4; i++) {
    address[i] = make_uint4(eight.words[4 * i], eight.words[4 * i + 1], eight.words[4 * i + 2], eight.words[4 * i + 3]);
  }
}

// Stores elements [k, k + 8) of a row of `length` elements, none beyond its end.
template <typename T>
__device__ __forceinline__ void storeRow(T* row, int k, int length, bool aligned, const Eight<T>& eight) {
  if (aligned && k + 8 <= length) {
    storeEight(row + k, eight);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    if (k + i < length) getElement(eight, i, row[k + i]);
  }
}

template <typename T>
__device__ __forceinline__ Eight<T> plus(const Eight<T>& eight, const float (&delta)[8]) {
  Eight<T> sum = zeroEight<T>();
#pragma unroll
  for (int i = 0; i < 8; i++) setWord(sum, i, narrow<T>(eight.get(i) + delta[i]));
  return sum;
}

// Adds eight floats to elements [k, k + 8) of a row of `length` elements; stores no element beyond its end.
template <typename T>
__device__ __forceinline__ void addToRow(T* row, int k, int length, bool aligned, const float (&delta)[8]) {
  if (aligned && k + 8 <= length) {
    storeEight(row + k, plus(loadEight<T, Memory::FRESH>(row + k), delta));
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    if (k + i < length) row[k + i] = narrow<T>(widen(row[k + i]) + delta[i]);
  }
}

}  // namespace lorikeet
