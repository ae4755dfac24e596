package dev.lorikeet.conformance.store;

import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.MutantSuites;
import dev.lorikeet.conformance.MutantSuites.MakesStore;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Adapter stores with one fault each. */
public final class StoreMutants {
  private StoreMutants() {}

  static Mutant store(String fault, Set<String> by, Set<String> also, MakesStore factory) {
    return new Mutant(MutantSuites.Stores.class, fault, by, also, factory);
  }

  public static List<Mutant> all() {
    List<Mutant> list = new ArrayList<>(StoreFileMutants.all());
    list.addAll(StoreLeaseMutants.all());
    return list;
  }
}
