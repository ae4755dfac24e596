package dev.lorikeet.cuda.memory;

import dev.lorikeet.cuda.memory.AdapterLayout.Place;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.Optional;

/**
 * One generation of an adapter on the device: its pages, its records, and which of its target
 * modules have been sent there. Belongs to the {@link AdapterCache} that admitted it, and must not
 * be used once it is evicted.
 */
public final class ResidentAdapter {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private final long generation;
  private final AdapterLayout layout;
  private final long[] pageAddresses;
  private final int[] pages;
  private final int slot;
  private final BitSet sent = new BitSet();
  private final int modulesToSend;
  private final byte[] records;
  // What every call asks, by the number of the module: shapes without a lookup.
  private final int[] ranks;
  private final int[] inFeatures;
  private final int[] outFeatures;
  private final Optional<ElementType> commonType;
  private long lastUse;
  private int nextModule;

  ResidentAdapter(
      long generation, AdapterLayout layout, int[] pages, int slot, DevicePagePool pool) {
    this.generation = generation;
    this.layout = layout;
    this.pages = pages;
    this.slot = slot;
    pageAddresses = new long[pages.length];
    for (int i = 0; i < pages.length; i++) {
      pageAddresses[i] = pool.address(pages[i]);
    }
    int modules = layout.modules();
    ranks = new int[modules];
    inFeatures = new int[modules];
    outFeatures = new int[modules];
    records = new byte[modules * TargetRecord.BYTES];
    MemorySegment bytes = MemorySegment.ofArray(records);
    for (Place place : layout.places()) {
      int module = place.module();
      ranks[module] = place.shape().rank();
      inFeatures[module] = place.shape().aWidth();
      outFeatures[module] = place.shape().bWidth();
      describe(place, bytes.asSlice((long) module * TargetRecord.BYTES, TargetRecord.BYTES));
    }
    modulesToSend = layout.places().size();
    commonType = commonType(layout);
  }

  /** The element type that all factors share, if they all are dense. */
  private static Optional<ElementType> commonType(AdapterLayout layout) {
    Optional<ElementType> common = Optional.empty();
    for (Place place : layout.places()) {
      ElementType type = place.shape().aType();
      boolean same = place.shape().bType() == type && common.orElse(type) == type;
      if (!same || !place.shape().isDense()) {
        return Optional.empty();
      }
      common = Optional.of(type);
    }
    return common;
  }

  private void describe(Place place, MemorySegment record) {
    AdapterLayout.Shape shape = place.shape();
    long pageBytes = layout.pageBytes();
    record.set(INT, TargetRecord.A_OFFSET, (int) (place.a() % pageBytes));
    record.set(INT, TargetRecord.B_OFFSET, (int) (place.b() % pageBytes));
    record.set(INT, TargetRecord.A_STRIDE, shape.aStride());
    record.set(INT, TargetRecord.B_STRIDE, shape.bStride());
    record.set(INT, TargetRecord.RANK, shape.rank());
    record.set(INT, TargetRecord.A_TYPE, typeNumber(shape.aType()));
    record.set(INT, TargetRecord.B_TYPE, typeNumber(shape.bType()));
    record.set(INT, TargetRecord.A_WIDTH, shape.aWidth());
    record.set(INT, TargetRecord.B_WIDTH, shape.bWidth());
    record.set(INT, TargetRecord.A_BLOCKS, shape.aBlocks());
    record.set(INT, TargetRecord.B_BLOCKS, shape.bBlocks());
    record.set(FLOAT, TargetRecord.SCALING, shape.scaling());
    record.set(LONG, TargetRecord.A_PAGES, place.aList() < 0 ? 0 : address(place.aList()));
    record.set(LONG, TargetRecord.B_PAGES, place.bList() < 0 ? 0 : address(place.bList()));
    for (int i = 0; i < TargetRecord.NEAR; i++) {
      record.set(LONG, TargetRecord.NEAR_PAGES + 8L * i, nearPage(place.a(), place.b(), i));
      record.set(
          LONG,
          TargetRecord.NEAR_PAGES + 8L * (TargetRecord.NEAR + i),
          nearPage(place.b(), place.end(), i));
    }
  }

  private long nearPage(long begin, long end, int i) {
    int page = (int) (begin / layout.pageBytes()) + i;
    return page * (long) layout.pageBytes() < end ? pageAddresses[page] : 0;
  }

  /** Returns the number by which kernels know an element type. */
  private static int typeNumber(ElementType type) {
    return switch (type) {
      case F32 -> 0;
      case BF16 -> 1;
      case F16 -> 2;
    };
  }

  /** Returns the device address of a byte of the linear space. */
  long address(long place) {
    int pageBytes = layout.pageBytes();
    return pageAddresses[(int) (place / pageBytes)] + place % pageBytes;
  }

  /** Returns the device address of a page of the linear space. */
  long pageAddress(int page) {
    return pageAddresses[page];
  }

  long generation() {
    return generation;
  }

  AdapterLayout layout() {
    return layout;
  }

  int[] pages() {
    return pages;
  }

  /** Returns its place in the directory. */
  public int slot() {
    return slot;
  }

  /** Returns the adapter's records, one per target module, as kernels read them. */
  byte[] records() {
    return records;
  }

  /** Returns the rank for a module, 0 if the adapter does not change it. */
  public int rank(int module) {
    return module < ranks.length ? ranks[module] : 0;
  }

  /** Returns the width of A for a module that the adapter changes. */
  public int inFeatures(int module) {
    return inFeatures[module];
  }

  /** Returns the width of B for a module that the adapter changes. */
  public int outFeatures(int module) {
    return outFeatures[module];
  }

  /** Returns whether all factors are dense and of this type. */
  public boolean isDense(ElementType type) {
    return commonType.isPresent() && commonType.get() == type;
  }

  boolean isSent(int module) {
    return sent.get(module);
  }

  void markSent(int module) {
    sent.set(module);
  }

  /** Returns whether the weights of all modules have been sent. */
  public boolean isComplete() {
    return sent.cardinality() == modulesToSend;
  }

  /** Returns the next module in order, from the last one used, that has not been sent; or -1. */
  int nextToSend() {
    for (int i = 0; i < ranks.length; i++) {
      int module = (nextModule + i) % ranks.length;
      if (ranks[module] > 0 && !sent.get(module)) {
        return module;
      }
    }
    return -1;
  }

  /** Notes a use: when, by the clock of who uses the cache, and of which module. */
  public void used(long when, int module) {
    lastUse = when;
    nextModule = module < ranks.length ? module : 0;
  }

  long lastUse() {
    return lastUse;
  }
}
