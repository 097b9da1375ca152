"""From the files of configs/ and containers/ to images, builds, trees and cells."""
