package dev.lorikeet.jlama.lora;

import jdk.incubator.vector.FloatVector;

/** Asks for the vector width, apart from classes that must load without the Vector API. */
final class VectorWidth {
  private VectorWidth() {}

  /** Returns how many F32 lanes the preferred vector has. */
  static int lanes() {
    return FloatVector.SPECIES_PREFERRED.length();
  }
}
