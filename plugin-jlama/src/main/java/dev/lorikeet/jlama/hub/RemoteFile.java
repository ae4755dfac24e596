package dev.lorikeet.jlama.hub;

import java.util.Optional;

/**
 * A file as the hub lists it.
 *
 * @param path its path in the repository, checked to stay there
 * @param size its bytes
 * @param checksum what they hash to, where the hub says so
 */
record RemoteFile(String path, long size, Optional<Checksum> checksum) {
  /** Returns the name under which its bytes are gathered; other bytes have another name. */
  String partName() {
    return path + checksum.map(sum -> "." + sum.hex().substring(0, 12)).orElse("") + ".part";
  }
}
